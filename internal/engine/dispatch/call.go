package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// call is one call of the component: one record, or a batch in the order of offsets.
type call struct {
	p     *Partition
	items []*item
	lanes []*lane // those that the items are of
	probe bool    // it knocks at a closed gate
	// running is the call as the dispatcher's list of calls has it.
	running Running
	// failed tells that the call as a whole failed, so that nothing is known of its single records.
	failed bool
	// one is the room of a call of one record, as most are: items and lanes begin in it.
	one struct {
		item    [1]*item
		lane    [1]*lane
		outcome [1]record.Outcome
		result  [1]result
	}
}

// result is what became of one record of a call.
type result struct {
	next    settlement
	err     error
	outputs []record.Outgoing
	// buried tells of a record that was given up, where that is so only when its offset has been committed with outputs;
	// nil elsewhere.
	buried func()
}

// run makes a call, acts on the verdicts, and goes on with the next call for as long as there is one: a goroutine that
// has made a call has the stack for the next one. It is a goroutine of its own.
func (d *Dispatcher) run(c *call) {
	for c != nil {
		outcomes := d.deliver(c)
		d.prepareOutputs(outcomes)
		results := d.judgeAll(c, outcomes)
		// Before dead letters and outputs are written, which can take long and says nothing about the component.
		d.settleGate(c, results)
		d.buryAll(c, results)
		if !d.cfg.Transactional {
			d.produce(c, results)
		}
		c = d.settle(c, results)
	}
}

// judgeAll decides what follows from the outcomes. What is behind a record that must come again, in its lane, comes
// again after it.
//
// A call that has failed as a whole is not made again as it was: each of its records comes again alone. So does, at the
// second time, a record that was handled in vain because one before it failed. Otherwise all that stand behind were
// handled again with each record that fails, or with each that is found not to be the one that makes the component trap.
func (d *Dispatcher) judgeAll(c *call, outcomes []record.Outcome) []result {
	results := c.one.result[:]
	if len(c.items) != 1 {
		results = make([]result, len(c.items))
	}
	failed := make(map[*lane]settlement)
	for i, it := range c.items {
		if before, is := failed[it.lane]; is {
			results[i].next = settleBehind
			if before == settleRetry {
				it.vain++
			}
			it.alone = it.alone || before == settleAlone || it.vain >= mostVain
			continue
		}
		next := d.judge(c, it, outcomes[i])
		results[i] = result{next: next, err: outcomes[i].Err, outputs: outcomes[i].Outputs}
		if next != settleFinish && next != settleBury {
			failed[it.lane] = next
		}
	}
	return results
}

// mostVain is how often a record is handled in vain, since one before it in its lane failed, until it is called alone.
const mostVain = 2

// buryAll takes the records out of the way that no further delivery can help. Where that fails, what is behind such a
// record in its lane comes again after it.
func (d *Dispatcher) buryAll(c *call, results []result) {
	failed := make(map[*lane]bool)
	for i, it := range c.items {
		switch r := &results[i]; {
		case failed[it.lane]:
			*r = result{next: settleBehind}
		case r.next == settleBury:
			*r = d.bury(c.p, it, r.err)
			failed[it.lane] = r.next != settleFinish
		}
	}
}

// prepareOutputs prepares the outputs for whoever commits them, and rejects records whose outputs could never be
// produced.
func (d *Dispatcher) prepareOutputs(outcomes []record.Outcome) {
	if d.cfg.Prepare == nil {
		return
	}
	// All records' outputs, of which each record gets its part; without transactions one record's at a time, which are looked
	// at and not kept.
	var prepared []record.Outgoing
	if d.cfg.Transactional {
		outputs := 0
		for i := range outcomes {
			outputs += len(outcomes[i].Outputs)
		}
		prepared = make([]record.Outgoing, 0, outputs)
	}
	for i := range outcomes {
		begin := len(prepared)
		for _, out := range outcomes[i].Outputs {
			var err error
			if prepared, err = d.cfg.Prepare(prepared, out); err != nil {
				outcomes[i] = record.Outcome{Verdict: record.Reject, Err: fmt.Errorf("an output for topic %s cannot be produced: %w", out.Topic, err)}
				break
			}
		}
		if d.cfg.Transactional && outcomes[i].Verdict == record.Done {
			outcomes[i].Outputs = prepared[begin:len(prepared):len(prepared)]
		} else {
			prepared = prepared[:begin]
		}
	}
}

// produce stores the outputs of the finished records. Where that fails, these records come again: an output that was
// stored all the same is there twice then.
func (d *Dispatcher) produce(c *call, results []result) {
	var outputs []record.Outgoing
	for i := range results {
		if results[i].next == settleFinish {
			outputs = append(outputs, results[i].outputs...)
		}
	}
	if len(outputs) == 0 {
		return
	}
	err := d.cfg.Produce(c.p.ctx, outputs)
	d.noteOutputs(err, c.p.ctx.Err() != nil)
	next := settleUnproduced
	if c.p.ctx.Err() != nil {
		next = settleDrop
	}
	// From the first record of a lane on that has outputs, what is behind it waits with it.
	failed := make(map[*lane]bool)
	for i, it := range c.items {
		r := &results[i]
		switch {
		case r.next != settleFinish:
		case failed[it.lane]:
			it.alone = true
			*r = result{next: settleBehind}
		case err != nil && len(r.outputs) > 0:
			// Of many outputs one may be the reason. Alone, the others come through.
			it.alone = true
			failed[it.lane] = true
			*r = result{next: next, err: err}
		}
		r.outputs = nil
	}
}

// noteOutputs keeps, for [Status], why outputs cannot be produced.
func (d *Dispatcher) noteOutputs(err error, givenUp bool) {
	if givenUp {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.outputsErr == nil {
		d.cfg.Log.Error("outputs cannot be produced; their records come again", "error", err)
	}
	d.outputsErr = err
}

// deliver makes the call and returns an outcome for each record.
func (d *Dispatcher) deliver(c *call) []record.Outcome {
	p := c.p
	if d.cfg.Limiter != nil {
		if err := d.cfg.Limiter.Acquire(p.ctx, 1); err != nil {
			return all(len(c.items), err)
		}
		defer d.cfg.Limiter.Release(1)
	}
	ctx := p.deadlines.Take()
	defer ctx.Release()
	// The records are this call's alone until the verdicts: their lanes let no second call begin.
	for _, it := range c.items {
		it.rec.Attempt = it.earlier + it.attempts + 1
		if it.rec.Attempt > 1 {
			d.cfg.Observer.Repeated()
		}
	}
	started := time.Now()
	outcomes := d.handOver(ctx, c)
	took := time.Since(started)
	for i := range outcomes {
		o := &outcomes[i]
		if p.ctx.Err() == nil {
			o.Err = AtDeadline(ctx, o.Err, d.cfg.Delivery.HandleTimeout)
		}
		outcome := OutcomeOf(p.ctx, o.Verdict, o.Err)
		d.cfg.Observer.Delivered(outcome, took)
		if outcome != OutcomeDone && outcome != OutcomeSkipped {
			rec := c.items[i].rec
			d.cfg.Log.Debug("a delivery failed", "topic", p.topic, "partition", p.id, "offset", rec.Offset,
				"attempt", rec.Attempt, "outcome", outcome, "took", took, "cause", o.Err)
		}
	}
	return outcomes
}

func (d *Dispatcher) handOver(ctx context.Context, c *call) []record.Outcome {
	if d.cfg.Batch == nil {
		verdict, err := d.cfg.Deliverer.Deliver(ctx, c.items[0].rec)
		c.one.outcome[0] = record.Outcome{Verdict: verdict, Err: err}
		return c.one.outcome[:]
	}
	d.cfg.Observer.Batched(len(c.items))
	batch := make([]*record.Record, len(c.items))
	for i, it := range c.items {
		batch[i] = it.rec
	}
	outcomes, err := d.cfg.Batch.Deliverer.DeliverBatch(ctx, batch)
	if err == nil && len(outcomes) != len(batch) {
		err = fmt.Errorf("the component gave %d results for a batch of %d records", len(outcomes), len(batch))
	}
	if err != nil {
		c.failed = true
		return all(len(batch), err)
	}
	return outcomes
}

// AtDeadline says what the error of a delivery means that ended because ctx ended, after the time that handle_timeout gives
// a call. Other errors stay as they are.
func AtDeadline(ctx context.Context, err error, timeout time.Duration) error {
	switch {
	case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil:
		return err
	case errors.Is(err, record.ErrUnavailable):
		return fmt.Errorf("within handle_timeout (%s): %w", timeout, err)
	default:
		return fmt.Errorf("the component did not answer within handle_timeout (%s)", timeout)
	}
}

// all is the same failure for each of n records.
func all(n int, err error) []record.Outcome {
	outcomes := make([]record.Outcome, n)
	for i := range outcomes {
		outcomes[i].Err = err // the zero verdict is Retry
	}
	return outcomes
}

// OutcomeOf classifies the end of a call. calls is the context that ends when running calls are given up.
func OutcomeOf(calls context.Context, v record.Verdict, err error) Outcome {
	switch {
	case v == record.Done && errors.Is(err, record.ErrSkipped):
		return OutcomeSkipped
	case v == record.Done:
		return OutcomeDone
	case calls.Err() != nil:
		return OutcomeGivenUp
	case v == record.Reject:
		return OutcomeReject
	case errors.Is(err, record.ErrUnavailable):
		return OutcomeUnavailable
	default:
		return OutcomeRetry
	}
}

// settlement is what is to happen with a record after a delivery.
type settlement uint8

const (
	settleFinish     settlement = iota // the offset may move on
	settleDrop                         // the partition is going: leave the record to its next owner
	settleKnock                        // no component there: again when the gate lets it
	settleRetry                        // again after a back-off
	settleBury                         // dead letter, skip or stop
	settleHold                         // the partition stands still
	settleUnproduced                   // its outputs could not be produced: again after a back-off
	settleAlone                        // again, in a call of its own
	settleBehind                       // again after the record before it in its lane
)

// judge decides what follows from a verdict. It is the one place that does.
func (d *Dispatcher) judge(c *call, it *item, o record.Outcome) settlement {
	switch OutcomeOf(c.p.ctx, o.Verdict, o.Err) {
	case OutcomeDone, OutcomeSkipped:
		return settleFinish
	case OutcomeGivenUp:
		// A stop or a revoke ended the call, not the component: it counts for nothing, least of all for a dead letter.
		return settleDrop
	case OutcomeUnavailable:
		return settleKnock
	case OutcomeReject:
		it.attempts++
		return settleBury
	default:
		if c.failed && len(c.items) > 1 {
			// One record that makes the component trap must not use up the attempts of the others: from now on each
			// of them is called alone, until it has shown what it is.
			it.alone = true
			return settleAlone
		}
		it.attempts++
		// A component that fails while its link or the provider is being stopped may fail because of that, and no stop
		// may cost a record. The next owner sees whether it fails by itself.
		if limit := d.cfg.Delivery.MaxAttempts; limit > 0 && it.attempts >= limit && !c.p.isClosing() {
			return settleBury
		}
		return settleRetry
	}
}

// bury takes a record out of the way that no further delivery can help. The outputs of the result are its dead letter, where
// that is to be committed with its offset.
func (d *Dispatcher) bury(p *Partition, it *item, cause error) result {
	r := result{next: settleFinish, err: cause}
	log := d.cfg.Log.With("topic", p.topic, "partition", p.id, "offset", it.rec.Offset, "attempts", it.earlier+it.attempts, "cause", cause)
	switch {
	case d.cfg.Transactional && d.cfg.MakeDeadLetter != nil:
		r.outputs = []record.Outgoing{d.cfg.MakeDeadLetter(it.rec, it.earlier+it.attempts, cause)}
		r.buried = func() { d.tellDeadLetter(log) }
	case d.cfg.DeadLetter != nil:
		if !d.deadLetter(p, it, cause, log) {
			r.next = settleDrop
			return r
		}
		d.tellDeadLetter(log)
	case d.cfg.Delivery.OnReject == settings.RejectStop:
		log.Error("a record was rejected: its partition stands still (on_reject=stop)")
		r.next = settleHold
	case d.cfg.Transactional:
		r.buried = func() { d.tellSkipped(log) }
	default:
		d.tellSkipped(log)
	}
	return r
}

func (d *Dispatcher) tellDeadLetter(log *slog.Logger) {
	d.cfg.Observer.Buried(true)
	log.Warn(status.DeadLettered, "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic)
}

func (d *Dispatcher) tellSkipped(log *slog.Logger) {
	d.cfg.Observer.Buried(false)
	log.Warn("a record was rejected and is skipped: no dead_letter_topic is set")
}

// deadLetter writes the dead letter, however long Kafka keeps it waiting. It reports false when the partition went
// away first: the next owner delivers the record anew.
func (d *Dispatcher) deadLetter(p *Partition, it *item, cause error, log *slog.Logger) bool {
	stuck := false
	defer func() {
		if stuck {
			d.countUnburied(p, -1, nil)
		}
	}()
	for failures := 1; ; failures++ {
		err := d.cfg.DeadLetter(p.ctx, it.rec, it.earlier+it.attempts, cause)
		if err == nil {
			return true
		}
		if p.ctx.Err() != nil {
			return false
		}
		log.Error("dead-lettering a record failed; the record waits", "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic, "error", err)
		if !stuck {
			stuck = true
			d.countUnburied(p, 1, err)
		}
		select {
		case <-time.After(d.backoff(failures)):
		case <-p.ctx.Done():
			return false
		}
	}
}

// countUnburied keeps, for [Status], how many records wait for their dead letter to be written, and why.
func (d *Dispatcher) countUnburied(p *Partition, n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.unburied += n
	if err != nil {
		p.buryErr = err
	}
}

// settle carries the settlements out and lets other calls begin, but for one that it returns.
func (d *Dispatcher) settle(c *call, results []result) (next *call) {
	p := c.p
	d.mu.Lock()
	d.inFlight--
	d.withComponent -= len(c.items)
	p.inFlight--
	// The lanes whose first record must come again, with what became of it. Lanes of finished records go on.
	stuck := make(map[*lane]*result)
	for i, it := range c.items {
		r := &results[i]
		switch r.next {
		case settleFinish:
			p.finish(it, r)
			continue
		case settleBehind:
			continue
		case settleDrop:
			p.givenUp = append(p.givenUp, it.rec.Offset)
		case settleHold:
			p.held = fmt.Errorf("offset %d was rejected: %w", it.rec.Offset, r.err)
		case settleUnproduced:
			it.unproduced++
		}
		stuck[it.lane] = r
	}
	for _, l := range c.lanes {
		p.settleLane(l, stuck[l])
	}
	if p.closing && p.inFlight == 0 {
		close(p.drained)
	}
	next = d.begin(true)
	d.mu.Unlock()
	d.cfg.Progress()
	return next
}

// settleLane decides when the next call of a lane may begin; stuck is what became of its first record where that has to
// come again. d.mu is held.
func (p *Partition) settleLane(l *lane, stuck *result) {
	l.state = laneIdle
	switch {
	case p.closing:
	case l.waiting.len() == 0:
		if l.keyed {
			delete(p.lanes, l.key)
		}
	case stuck == nil || stuck.next == settleKnock || stuck.next == settleAlone:
		p.makeReady(l)
	case stuck.next == settleRetry:
		p.backOff(l, p.d.backoff(l.waiting.peek().attempts))
	case stuck.next == settleUnproduced:
		p.backOff(l, p.d.backoff(l.waiting.peek().unproduced))
	}
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

// backoff is the wait after the nth failure in a row: exponential, with jitter over its upper half so that records
// that failed together do not come back together.
func (d *Dispatcher) backoff(failures int) time.Duration {
	wait := d.cfg.Delivery.RetryBackoff
	for i := 1; i < failures && wait < d.cfg.Delivery.RetryBackoffMax; i++ {
		wait *= 2
	}
	wait = max(min(wait, d.cfg.Delivery.RetryBackoffMax), time.Millisecond)
	return wait/2 + rand.N(wait/2+1)
}

// settleGate opens or closes the gate by what a call met. Lanes that waited for it to open are looked at at once.
func (d *Dispatcher) settleGate(c *call, results []result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noteCall(c, results)
	var unavailable error
	reached := false
	for i := range results {
		switch r := &results[i]; {
		case r.next == settleKnock:
			unavailable = r.err
		case r.next == settleDrop, r.next == settleBehind, errors.Is(r.err, record.ErrSkipped):
		default:
			reached = true
		}
	}
	switch {
	case unavailable != nil:
		first := d.gate.cause == nil
		d.gate.close(time.Now(), unavailable, c.probe)
		if first {
			d.cfg.Log.Warn("no component takes calls: records wait", "cause", unavailable)
		}
	case reached && (c.probe || d.gate.cause == nil):
		// A call that was under way when the gate closed says nothing about whether the next one is taken: its host may be
		// busy with all that others wait for, or have finished what it had when it was told to stop.
		if d.gate.open() {
			d.cfg.Log.Info("the component takes calls again")
			d.schedule()
		}
	case c.probe:
		d.gate.unused()
	}
}
