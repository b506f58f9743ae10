package dispatch

import (
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// aside is how a record was put aside that failed: what is made of it is stored elsewhere, and its component has no
// part in that any more.
type aside uint8

const (
	notAside aside = iota
	deadLettered
	delayed // in a retry topic
)

// kept is a finished record that is not committed yet, and what could be committed before it.
type kept struct {
	*item
	before Position
}

// keptCost is what a finished record takes until it is committed.
func (it *item) keptCost() int64 { return costOf(it.outputs) + it.cost + itemCost }

// Finished is what one commit can take along.
type Finished struct {
	Position
	partition *Partition
	// records are those below Offset that have not been taken before, where outputs are committed with offsets: those that
	// have some, and those that would have to come again with one of them. The offset and all that is made of them are
	// stored together or not at all.
	records []kept
}

// AppendOutputs appends the outputs of all records below the offset.
func (f *Finished) AppendOutputs(to []record.Outgoing) []record.Outgoing {
	for i := range f.records {
		to = append(to, f.records[i].outputs...)
	}
	return to
}

// Makers is how many records below the offset have outputs.
func (f *Finished) Makers() int {
	n := 0
	for i := range f.records {
		if len(f.records[i].outputs) > 0 {
			n++
		}
	}
	return n
}

// MakersBefore is how many records have all their outputs before the nth of [Finished.AppendOutputs], from 0.
func (f *Finished) MakersBefore(n int) int {
	makers := 0
	for i := range f.records {
		outputs := len(f.records[i].outputs)
		if n < outputs {
			break
		}
		n -= outputs
		if outputs > 0 {
			makers++
		}
	}
	return makers
}

// Split divides it behind the nth record that has outputs: what can be committed first, and what after that.
func (f *Finished) Split(n int) (head, tail Finished) {
	for i := range f.records {
		if len(f.records[i].outputs) == 0 {
			continue
		}
		if n--; n < 0 {
			head, tail = *f, *f
			head.Position.Offset, head.Position.Epoch = f.records[i].before.Offset, f.records[i].before.Epoch
			head.records, tail.records = f.records[:i:i], f.records[i:]
			return head, tail
		}
	}
	return *f, Finished{Position: f.Position, partition: f.partition}
}

// GivenUp is how many records below the offset were given up.
func (f *Finished) GivenUp() int {
	n := 0
	for i := range f.records {
		if f.records[i].afterCommit != nil {
			n++
		}
	}
	return n
}

// Committed says that the offset has been committed, and all outputs with it: only now are the records below it given
// up that were dead-lettered or skipped, and told of. It is called without a lock.
func (f *Finished) Committed() {
	for i := range f.records {
		if tell := f.records[i].afterCommit; tell != nil {
			tell()
		}
	}
	f.partition.settle(f.records)
}

// settle notes that what was made of records is stored.
func (p *Partition) settle(records []kept) {
	if len(records) == 0 {
		return
	}
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for i := range records {
		if records[i].transacts() {
			p.unsettled--
		}
		if records[i].item == p.refusal.record {
			p.goOn()
		}
	}
}

// refusal is a record whose outputs Kafka refuses, with transactions. Its partition stands: what is finished behind it
// is not committed before it, and what is called behind it would come again with it, whatever becomes of it. The zero
// refusal is none.
type refusal struct {
	record *item
	// taken is what was finished from the record on when it was refused. It waits until no call of the partition runs, and
	// is nil from then on.
	taken []kept
	// end is up to where all was finished.
	end   Position
	timer *time.Timer // offers again what is put aside
	// storing knows of it as of one that waits to be put aside; nil where it is none.
	storing *storing
}

// pending tells whether calls run still that began before the refusal.
func (r *refusal) pending() bool { return len(r.taken) > 0 }

// withholds tells whether a lane has to wait for the record.
func (r *refusal) withholds(l *lane) bool {
	return r.record != nil && (r.pending() || l.head() != r.record)
}

func (r *refusal) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

// Refuse gives back what was taken, because Kafka refuses for good what was made of the first record that has outputs.
// That one is called again after a back-off, since its component may make other outputs by then, and so are, once it
// has been committed, the records that were finished behind it in its lane. A record that was put aside is offered
// again as it is. Nothing else of the partition is called until then. Refuse reports false where the partition is on
// its way out.
func (f *Finished) Refuse(err error) bool {
	p := f.partition
	d := p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.closing {
		return false
	}
	first := 0
	for len(f.records[first].outputs) == 0 {
		first++
	}
	it := f.records[first].item
	if p.refusal.record != it {
		p.endRefusal()
	}
	it.unproduced++
	p.refusal.record, p.refusal.end = it, p.committable
	p.refusal.taken = append(slices.Clip(f.records), p.kept...)
	for i := range f.records {
		p.hold(f.records[i].keptCost())
	}
	p.offer(-p.keptBytes)
	p.kept, p.committable, p.uncommitted = nil, f.records[0].before, uncommitted{}
	p.tellRefused(err)
	p.withhold()
	if p.callsInFlight == 0 {
		p.rewind()
	}
	d.schedule() // the outputs may have filled the buffer
	return true
}

// tellRefused notes why the partition stands, for the status. d.mu is held.
func (p *Partition) tellRefused(err error) {
	r, d := &p.refusal, p.d
	if r.record.aside == notAside {
		d.noteUnstored(r.record, err)
		return
	}
	if r.storing != nil {
		r.storing.wait(0, err)
		return
	}
	rec := r.record.rec
	log := d.cfg.Log.With("topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "error", err)
	if r.record.aside == deadLettered {
		r.storing = &d.deadLetters.storing
		log.Error("dead-lettering a record failed; the record waits", "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic)
	} else {
		r.storing = &d.retries
		log.Error("records that failed cannot be stored in retry topics; they wait", "retry_topic", r.record.outputs[0].Topic)
	}
	r.storing.wait(1, err)
}

// endRefusal ends what is told of a refusal, and the refusal. d.mu is held.
func (p *Partition) endRefusal() {
	r := &p.refusal
	if r.record == nil {
		return
	}
	r.stopTimer()
	p.d.unstored.Over(r.record)
	if r.storing != nil {
		r.storing.wait(-1, nil)
	}
	p.refusal = refusal{}
}

// goOn lets the partition go on, when what was made of the record is committed. d.mu is held.
func (p *Partition) goOn() {
	p.endRefusal()
	if p.closing {
		return
	}
	for i := range p.items.len() {
		if it := p.items.at(i); it.lane != nil && it.lane.state == laneIdle && it.lane.head() == it {
			p.makeReady(it.lane)
		}
	}
	p.d.schedule()
}

// withhold takes back all lanes whose records might be called. d.mu is held.
func (p *Partition) withhold() {
	p.d.turns.drop(p)
	p.ready, p.readyItems = readyLanes{}, 0
	for i := range p.items.len() {
		if l := p.items.at(i).lane; l != nil && l.state == laneReady {
			l.state = laneIdle
		}
	}
}

// rewind puts the record that was refused, and all that was finished behind it, back to where they were before. No call
// of the partition runs. d.mu is held.
func (p *Partition) rewind() {
	r := &p.refusal
	var all queue[*item]
	for i := range r.taken {
		it := r.taken[i].item
		all.push(it)
		p.doneAhead++
	}
	if last := r.taken[len(r.taken)-1]; last.nextOffset != r.end.Offset {
		// Up to here there are only records of which nothing is kept, or none.
		all.push(&item{nextOffset: r.end.Offset, epoch: r.end.Epoch, done: true})
		p.doneAhead++
		p.hold(itemCost)
	}
	for p.items.len() > 0 {
		all.push(p.items.pop())
	}
	p.items, r.taken = all, nil
	if it := r.record; it.aside != notAside {
		p.unfinish(it)
		r.timer = time.AfterFunc(Backoff(&p.d.cfg.Delivery, int(it.unproduced), 0), func() { p.offerAgain(it) })
		p.advance()
		return
	}
	lanes := make(map[*lane][]*item)
	for i, behind := 0, false; i < p.items.len(); i++ {
		it := p.items.at(i)
		behind = behind || it == r.record
		if !behind || !it.done || it.rec == nil || it.aside != notAside || it != r.record && !p.sameLane(it.rec, r.record.rec) {
			continue
		}
		p.unfinish(it)
		it.lane = p.laneOf(it.rec)
		lanes[it.lane] = append(lanes[it.lane], it)
	}
	for l, back := range lanes {
		p.putBack(l, back)
	}
	r.record.alone = true
	p.backOff(r.record.lane, Backoff(&p.d.cfg.Delivery, int(r.record.unproduced), 0))
	p.advance()
}

// sameLane tells whether two records wait for each other.
func (p *Partition) sameLane(a, b *record.Record) bool {
	switch p.d.cfg.Delivery.Order {
	case settings.OrderNone:
		return false
	case settings.OrderPartition:
		return true
	default:
		return (a.Key == nil) == (b.Key == nil) && string(a.Key) == string(b.Key)
	}
}

// unfinish takes back that a record was finished. d.mu is held.
func (p *Partition) unfinish(it *item) {
	it.done = false
	p.doneAhead--
	p.unfinished++
	if it.aside != notAside {
		return
	}
	if it.transacts() {
		p.unsettled--
	}
	p.hold(-costOf(it.outputs))
	it.outputs, it.afterCommit = nil, nil
}

// putBack puts records that were finished back into their lane, before those that wait in it. d.mu is held.
func (p *Partition) putBack(l *lane, back []*item) {
	if l.state == laneBackingOff {
		l.timer.Stop()
		delete(p.backingOff, l)
		l.state = laneIdle
	}
	var all queue[*item]
	for _, it := range back {
		all.push(it)
	}
	for l.waiting.len() > 0 {
		all.push(l.waiting.pop())
	}
	l.waiting = all
}

// offerAgain lets a record that was put aside be committed once more.
func (p *Partition) offerAgain(it *item) {
	if p.offered(it) {
		p.d.cfg.Progress()
	}
}

func (p *Partition) offered(it *item) bool {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	// The timer may have fired while the partition was being closed: Stop does not wait for it.
	if p.closing || p.refusal.record != it || it.done {
		return false
	}
	it.done = true
	p.doneAhead++
	p.unfinished--
	p.advance()
	return true
}
