package dispatch

import (
	"cmp"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// pending tells whether something has to be stored before the record is finished.
func (s *step) pending() bool { return s.letter != nil || s.move != nil }

// putAside stores what has to be before records of a call are finished: dead letters, and records on their way to retry
// topics. What Kafka does not take holds up its lane and no other: lanes in which nothing waits are in another call
// then, and putAside returns true.
func (d *Dispatcher) putAside(c *call) (divided bool) {
	why := d.storeAside(c, true)
	if !why.any() {
		return false
	}
	if held := d.divide(c, true); held != nil {
		go func() {
			d.storeAll(held, why)
			d.finishCall(held)
		}()
	} else {
		d.storeAll(c, why)
	}
	return true
}

// divide takes lanes out of a call and into one of their own, which has a slot, too: those in which something is
// pending, or those in which nothing is. It returns nil where these are all or none.
func (d *Dispatcher) divide(c *call, pending bool) *call {
	waits := make(map[*lane]bool, len(c.lanes))
	for i, it := range c.items {
		waits[it.lane] = waits[it.lane] || c.steps[i].pending()
	}
	out, lanes, n := &call{p: c.p}, c.lanes[:0:0], 0
	for _, l := range c.lanes {
		if waits[l] == pending {
			out.lanes = append(out.lanes, l)
		} else {
			lanes = append(lanes, l)
		}
	}
	if len(out.lanes) == 0 || len(lanes) == 0 {
		return nil
	}
	for i, it := range c.items {
		if waits[it.lane] == pending {
			out.items, out.steps = append(out.items, it), append(out.steps, c.steps[i])
		} else {
			c.items[n], c.steps[n] = it, c.steps[i]
			n++
		}
	}
	c.items, c.steps, c.lanes = c.items[:n], c.steps[:n], lanes
	d.mu.Lock()
	defer d.mu.Unlock()
	d.callsInFlight++
	c.p.callsInFlight++
	return out
}

// outputs are those of the records that are finished with a call.
func (c *call) outputs() []record.Outgoing {
	var all []record.Outgoing
	for i := range c.steps {
		all = append(all, c.steps[i].outputs...)
	}
	return all
}

// finishCall does what is left to do of a call whose outcomes are judged and whose records are put aside, and makes the
// call that comes next. It is the end of a goroutine of its own.
func (d *Dispatcher) finishCall(c *call) {
	if next := d.settle(c, d.produce(c, c.outputs())); next != nil {
		d.run(next)
	}
}

// notStored is why the first dead letter, and the first record for a retry topic, could not be stored; nil where all
// were.
type notStored struct{ letter, move error }

func (n notStored) any() bool { return n.letter != nil || n.move != nil }

// storeAside tries to store what is pending of a call, each thing once. A hasty one ends at the first dead letter that
// is not stored: each may take long, and lanes wait that have nothing to do with them.
func (d *Dispatcher) storeAside(c *call, hasty bool) (why notStored) {
	why.move = d.storeMoves(c)
	for i, it := range c.items {
		s := &c.steps[i]
		if s.letter == nil {
			continue
		}
		if err := d.deadLetters.Store(c.p.ctx, it.rec, it.earlier+it.attempts, s.err); err != nil {
			why.letter = cmp.Or(why.letter, err)
			if hasty {
				break
			}
			continue
		}
		d.deadLetters.Written(s.letter)
		s.letter = nil
	}
	return why
}

// storeMoves tries to store together what records of a call wait as in retry topics.
func (d *Dispatcher) storeMoves(c *call) (failed error) {
	var moves []record.Outgoing
	var of []*step
	for i := range c.steps {
		if s := &c.steps[i]; s.move != nil {
			moves, of = append(moves, *s.move), append(of, s)
		}
	}
	if len(of) == 0 {
		return nil
	}
	results := d.cfg.Send(c.p.ctx, moves...)
	for i, s := range of {
		if err := results[i].Err; err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		d.cfg.Observer.RecordDelayed(s.delay)
		s.move = nil
	}
	return failed
}

// storeAll stores what is pending of a call, however often that fails. why is why it has failed once. Lanes of which
// nothing is pending any more go on meanwhile. A record for which the time of the partition does not do is left to
// whoever reads it next.
func (d *Dispatcher) storeAll(c *call, why notStored) {
	letters, moves := waiting{of: &d.deadLetters.storing}, waiting{of: &d.retries}
	defer letters.note(nil)
	defer moves.note(nil)
	for failures := 1; why.any() && c.p.ctx.Err() == nil; failures++ {
		d.tellNotStored(c, why)
		letters.note(why.letter)
		moves.note(why.move)
		if !backoff.Sleep(c.p.ctx, Backoff(&d.cfg.Delivery, failures, 0)) {
			break
		}
		why = d.storeAside(c, false)
		if why.any() {
			if free := d.divide(c, false); free != nil {
				go d.finishCall(free)
			}
		}
	}
	for i := range c.steps {
		if s := &c.steps[i]; s.pending() {
			s.next, s.letter, s.move = Leave, nil, nil
		}
	}
}

// tellNotStored logs what of a call waits to be stored.
func (d *Dispatcher) tellNotStored(c *call, why notStored) {
	var letter, move *step
	letters, moves := 0, 0
	for i := range c.steps {
		s := &c.steps[i]
		if s.letter != nil {
			letter, letters = cmp.Or(letter, s), letters+1
		}
		if s.move != nil {
			move, moves = cmp.Or(move, s), moves+1
		}
	}
	if why.letter != nil {
		letter.letter.Error("dead-lettering a record failed; the record waits", "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic,
			"records", letters, "error", why.letter)
	}
	if why.move != nil {
		d.cfg.Log.Error("records that failed cannot be stored in retry topics; they wait", "topic", c.p.topic, "partition", c.p.id,
			"records", moves, "retry_topic", move.move.Topic, "error", why.move)
	}
}
