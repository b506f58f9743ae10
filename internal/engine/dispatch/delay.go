package dispatch

import (
	"cmp"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// History is what a record has behind it when it comes.
type History struct {
	// Earlier are the deliveries before the record came to this link, Attempts those by this link that failed.
	Earlier, Attempts int
	// Due is when the record may be called, and As what is delivered in its place: it comes from a retry topic. Zero and
	// nil are of all others.
	Due time.Time
	As  *record.Record
}

// park has an item wait until its time comes, behind those that do so already. d.mu is held.
func (p *Partition) park(it *item, was *History, now time.Time) {
	it.stamp = max(was.Due.UnixMilli(), 0)
	if was.Due.After(now) {
		it.added = was.Due
	}
	it.rec = cmp.Or(was.As, it.rec)
	p.parked.push(it)
}

// unpark has items wait in their lanes whose time has come, and sees to the next. Who waits behind another comes after
// it: their times are those of clocks of several machines. d.mu is held.
func (p *Partition) unpark(now time.Time) {
	for p.parked.len() > 0 && !p.parked.peek().added.After(now) {
		it := p.parked.pop()
		it.turn = p.d.nextTurn()
		p.enqueue(it)
	}
	if p.parked.len() == 0 {
		return
	}
	wait := p.parked.peek().added.Sub(now)
	if p.due == nil {
		p.due = time.AfterFunc(wait, p.wakeParked)
	} else {
		p.due.Reset(wait)
	}
}

// wakeParked lets items be called whose time has come.
func (p *Partition) wakeParked() {
	p.d.mu.Lock()
	if p.closing { // the timer may have fired meanwhile: Stop does not wait for it
		p.d.mu.Unlock()
		return
	}
	p.unpark(time.Now())
	p.d.schedule()
	p.d.mu.Unlock()
	p.d.cfg.Progress()
}

// retryTopic is where a record that has failed so often waits: in the next topic, and in the last one again; and where
// whoever failed it has said for how long to wait, in one that has it wait for so long, if there is one.
func retryTopic(topics []settings.RetryTopic, failures int, after time.Duration) *settings.RetryTopic {
	last := len(topics) - 1
	i := min(max(failures, 1)-1, last)
	for i < last && topics[i].Delay < after {
		i++
	}
	return &topics[i]
}

// delay takes a record that failed out of the way: to a retry topic, from which it comes again. What of that is stored
// with its offset is an output.
func (d *Dispatcher) delay(it *item, s *step) {
	to := retryTopic(d.cfg.Delivery.RetryTopics, it.attempts, s.after)
	out := d.cfg.MakeRetry(it.rec, to, it.attempts, s.err)
	s.next = Finish
	d.cfg.Log.Debug("a record failed and waits in a retry topic", "topic", it.rec.Topic, "partition", it.rec.Partition, "offset", it.rec.Offset,
		"attempts", it.earlier+it.attempts, "retry_topic", to.Topic, "reason", s.err)
	if d.cfg.Transactional {
		s.outputs, s.aside = []record.Outgoing{out}, delayed
		s.afterCommit = func() { d.cfg.Observer.RecordDelayed(to.Delay) }
		return
	}
	s.move, s.delay = &out, to.Delay
}
