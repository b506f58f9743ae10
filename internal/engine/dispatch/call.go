package dispatch

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// call is one call of the component: one record, or a batch in the order of offsets.
type call struct {
	p     *Partition
	items []*item
	lanes []*lane // those that the items are of
	probe bool    // it looks whether the gate can be opened
	// running is the call as the dispatcher's list of calls has it.
	running Running
	// batch are the records of the items, steps what becomes of them.
	batch []*record.Record
	steps []step
	// one is the room of a call of one record, as most are: all these begin in it.
	one struct {
		item   [1]*item
		lane   [1]*lane
		record [1]*record.Record
		step   [1]step
	}
}

// step is what becomes of one record after a call.
type step struct {
	next  Decision
	err   error
	after time.Duration // of the outcome
	// outputs are to be stored before the record is finished, or with its offset.
	outputs []record.Outgoing
	aside   aside // that is it as it is put aside
	// move is what is to be stored in a retry topic before the record is finished here, with that topic's delay; nil where
	// nothing is.
	move  *record.Outgoing
	delay time.Duration
	// letter is the log of a record whose dead letter is to be stored before it is finished; nil elsewhere.
	letter *slog.Logger
	// afterCommit tells that the record was given up, where that is so only when its offset has been committed with
	// outputs; nil elsewhere.
	afterCommit func()
}

// run makes a call, acts on the outcomes, and goes on with the next call for as long as there is one: a goroutine that
// has made a call has the stack for the next one. It is a goroutine of its own.
func (d *Dispatcher) run(c *call) {
	var last *call
	for c != nil {
		c.makeRoom(last)
		outcomes, result := d.deliver(c)
		// Before dead letters and outputs are written, which can take long and says nothing about the component.
		at := d.note(c, &result)
		outputs := d.walk(c, outcomes, at, result.outputs)
		if divided := d.putAside(c); divided {
			outputs = c.outputs()
		}
		last, c = c, d.settle(c, d.produce(c, outputs))
	}
}

// makeRoom takes over the room that the last call of the goroutine had, where it is enough: batches are large, and
// there are many.
func (c *call) makeRoom(last *call) {
	switch n := len(c.items); {
	case n == 1:
		c.batch, c.steps = c.one.record[:0], c.one.step[:]
	case last != nil && n <= cap(last.steps):
		c.batch, c.steps = last.batch[:0], last.steps[:n]
		clear(c.steps)
	default:
		c.batch, c.steps = make([]*record.Record, 0, n), make([]step, n)
	}
}

// deliver makes the call. The records are its alone until it is settled: their lanes let no second call begin.
func (d *Dispatcher) deliver(c *call) ([]record.Outcome, CallResult) {
	for _, it := range c.items {
		it.rec.Attempt = it.earlier + it.attempts + 1
		c.batch = append(c.batch, it.rec)
	}
	return d.caller.Call(c.p.ctx, c.p.deadlines, c.batch)
}

// note takes down what a call says of the component, opens or closes the gate by it, and returns the circumstances in
// which its outcomes are judged.
func (d *Dispatcher) note(c *call, result *CallResult) Circumstances {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.calls.End(&c.running, result, now)
	switch {
	case result.Unavailable != nil:
		first := !d.gate.closed()
		d.gate.close(now, result.Unavailable, result.After, c.probe)
		if first {
			d.cfg.Log.Warn("nobody takes calls: records wait", "reason", result.Unavailable)
		}
	case result.Reached && (c.probe || !d.gate.closed()):
		// A call that was under way when the gate closed says nothing about whether the next one is taken: its host may be
		// busy with all that others wait for, or have finished what it had when it was told to stop.
		if d.gate.open() {
			d.cfg.Log.Info("calls are taken again")
			d.schedule() // for the lanes that waited for that
		}
	case c.probe:
		d.gate.unused()
	}
	return Circumstances{
		Limit: d.cfg.Delivery.MaxAttempts, Many: result.Called > 1, Stopping: c.p.closing, GivenUp: result.GivenUp,
	}
}

// maxWasted is how often a record is handled in vain, since one before it in its lane failed, until it is called alone.
const maxWasted = 2

// walk goes through each lane of a call, side by side: for as long as records are finished or given up it goes on, and
// at the first that has to come again it stops. The records behind that one come again after it, whatever their
// outcomes. The walk returns the outputs that are to be produced.
//
// A call that has failed as a whole is not made again as it was: each of its records comes again alone. A record that
// was handled in vain because one before it failed comes again alone at the second time. Otherwise all that stand
// behind were handled again with each record that fails, or with each that is found not to be the one that makes the
// component trap.
func (d *Dispatcher) walk(c *call, outcomes []record.Outcome, at Circumstances, outputs int) []record.Outgoing {
	var made []record.Outgoing
	if outputs > 0 {
		made = make([]record.Outgoing, 0, outputs)
	}
	for i, it := range c.items {
		o, s, l := &outcomes[i], &c.steps[i], it.lane
		if l.stop != Finish {
			s.next = behind
			if l.stop == Retry {
				it.wasted++
			}
			it.alone = it.alone || o.Kind == record.Unanswered || it.wasted >= maxWasted
			continue
		}
		at.Attempt = it.attempts + 1
		s.next, s.err, s.after = Judge(o.Kind, at), o.Err, o.After
		if s.next == Finish && len(o.Outputs) > 0 {
			made = d.prepare(s, o.Outputs, made)
		}
		if s.next.Counts() {
			it.attempts++
		}
		switch {
		case s.next == GiveUp:
			d.giveUp(it, s)
		case s.next == Retry && len(d.cfg.Delivery.RetryTopics) > 0:
			d.delay(it, s)
		case s.next == RetryAlone:
			it.alone = true
		}
		l.stop = s.next
	}
	return made
}

// prepare appends the outputs of a record to made, as they are to be stored. A record whose outputs can never be is
// given up.
func (d *Dispatcher) prepare(s *step, outputs, made []record.Outgoing) []record.Outgoing {
	more, err := d.cfg.Outputs.PrepareAll(made, outputs)
	if err != nil {
		s.next, s.err = GiveUp, err
		return made
	}
	if !d.cfg.Transactional {
		more = append(made, outputs...) // whoever produces them prepares them
	}
	s.outputs = more[len(made):len(more):len(more)]
	return more
}

// produce stores the outputs of the records that are finished with a call; with transactions whoever commits does.
func (d *Dispatcher) produce(c *call, outputs []record.Outgoing) error {
	if d.cfg.Transactional || len(outputs) == 0 {
		return nil
	}
	return d.cfg.Outputs.Produce(c.p.ctx, outputs)
}

// noteUnstored notes that outputs of a record could not be stored. d.mu is held.
func (d *Dispatcher) noteUnstored(it *item, err error) {
	if r := it.rec; d.unstored.Note(it, r.Topic, r.Partition, r.Offset, err) {
		d.cfg.Log.Error("outputs cannot be produced; their records come again", "topic", r.Topic, "partition", r.Partition,
			"offset", r.Offset, "error", err)
	}
}

// settle carries out what was decided of a call, and lets other calls begin, but for one that it returns. unstored is
// why outputs could not be produced: their records come again, and an output that was stored all the same is there
// twice then.
func (d *Dispatcher) settle(c *call, unstored error) (next *call) {
	p := c.p
	d.mu.Lock()
	d.callsInFlight--
	d.recordsInFlight -= len(c.items)
	p.callsInFlight--
	for i, it := range c.items {
		s := &c.steps[i]
		switch {
		case it.lane.state != laneCalling: // its lane has stopped before it
			it.alone = it.alone || s.next == Finish
		case s.next == Finish && unstored != nil && len(s.outputs) > 0:
			// One of many outputs may be the reason. Alone, the others come through.
			it.alone = true
			it.unproduced++
			if s.next = unproduced; p.ctx.Err() != nil {
				s.next = Leave // that may be why
			} else {
				d.noteUnstored(it, unstored)
			}
			p.stopAt(it, s)
		case s.next == Finish:
			p.finish(it, s)
		default:
			p.stopAt(it, s)
		}
	}
	for _, l := range c.lanes {
		if l.state == laneCalling {
			p.resumeLane(l)
		}
	}
	if p.callsInFlight == 0 {
		if p.closing {
			close(p.drained)
		} else if p.refusal.pending() {
			p.rewind()
		}
	}
	next = d.begin(true)
	d.mu.Unlock()
	d.cfg.Progress()
	return next
}

// resumeLane lets the next call of a lane begin, all of whose records in the last one are finished. d.mu is held.
func (p *Partition) resumeLane(l *lane) {
	l.state = laneIdle
	switch {
	case p.closing:
	case l.waiting.len() > 0:
		p.makeReady(l)
	case l.keyed:
		delete(p.lanes, l.key)
	}
}

// stopAt has a lane stop at its first record, and decides when that is called again. d.mu is held.
func (p *Partition) stopAt(it *item, s *step) {
	l, d := it.lane, p.d
	l.state = laneIdle
	var wait time.Duration
	if s.next == Retry || s.next == holdPartition { // a verdict
		it.unproduced = 0
		d.unstored.Over(it)
	}
	switch s.next {
	case Retry:
		wait = Backoff(&d.cfg.Delivery, it.attempts, s.after)
	case unproduced:
		wait = Backoff(&d.cfg.Delivery, int(it.unproduced), 0)
	case RetryAlone:
		wait = Bounded(s.after)
	case Wait: // the gate says when
	case holdPartition:
		p.holdAt(it, s.err)
		return
	case Leave:
		if p.ctx.Err() != nil {
			p.givenUp = append(p.givenUp, it.nextOffset-1)
		}
		return
	case Finish, GiveUp, behind: // nothing stops at these
	}
	switch {
	case p.closing:
	case wait > 0:
		p.backOff(l, wait)
	default:
		p.makeReady(l)
	}
}

// holdAt has the partition stand still at a record that was rejected. d.mu is held.
func (p *Partition) holdAt(it *item, reason error) {
	at, r := it.nextOffset-1, it.rec
	log := p.d.cfg.Log.With("topic", r.Topic, "partition", r.Partition, "offset", r.Offset)
	if r.Topic == p.topic {
		p.held = fmt.Errorf("offset %d was rejected: %w", at, reason)
	} else {
		p.held = fmt.Errorf("offset %d, which came from %s/%d, offset %d, was rejected: %w", at, r.Topic, r.Partition, r.Offset, reason)
		log = log.With("retry_topic", p.topic)
	}
	log.Error("a record was rejected: its partition stands still (on_reject=stop)", "attempts", it.earlier+it.attempts, "reason", reason)
}

// backOff lets a lane wait before its head is delivered again. The slot is free meanwhile. d.mu is held.
func (p *Partition) backOff(l *lane, wait time.Duration) {
	l.state = laneBackingOff
	p.backingOff[l] = struct{}{}
	l.timer = time.AfterFunc(wait, func() {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		// The timer may have fired while the partition was being closed: Stop does not wait for it.
		if p.closing || l.state != laneBackingOff {
			return
		}
		delete(p.backingOff, l)
		l.head().turn = p.d.nextTurn()
		p.makeReady(l)
		p.d.schedule()
	})
}
