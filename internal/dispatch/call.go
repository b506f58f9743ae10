package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"messaging-kafka/internal/record"
	"messaging-kafka/internal/settings"
)

// call hands the head of a lane to the component and acts on the verdict. It is a goroutine of its own.
func (d *Dispatcher) call(it *item) {
	p := it.lane.partition
	verdict, err := d.deliver(p, it)
	next := d.judge(p, it, verdict, err)
	// Before the dead letter is written, which can take long and says nothing about the component.
	d.settleGate(it, next, err)
	if next == settleBury {
		next = d.bury(p, it, err)
	}
	d.settle(p, it, next, err)
}

// deliver makes one delivery.
func (d *Dispatcher) deliver(p *Partition, it *item) (record.Verdict, error) {
	if d.cfg.Limiter != nil {
		if err := d.cfg.Limiter.Acquire(p.ctx, 1); err != nil {
			return record.Retry, err
		}
		defer d.cfg.Limiter.Release(1)
	}
	ctx, cancel := context.WithTimeoutCause(p.ctx, d.cfg.Delivery.HandleTimeout,
		fmt.Errorf("the component did not answer within handle_timeout (%s)", d.cfg.Delivery.HandleTimeout))
	defer cancel()
	// The record is this call's alone until the verdict: its lane lets no second call begin.
	it.rec.Attempt = it.earlier + it.attempts + 1
	started := time.Now()
	verdict, err := d.cfg.Deliverer.Deliver(ctx, it.rec)
	took := time.Since(started)
	if verdict != record.Done && p.ctx.Err() == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	outcome := OutcomeOf(p.ctx, verdict, err)
	d.cfg.Observer.Delivered(outcome, took)
	if outcome != OutcomeDone {
		d.cfg.Log.Debug("a delivery failed", "topic", p.topic, "partition", p.id, "offset", it.rec.Offset,
			"attempt", it.rec.Attempt, "outcome", outcome, "took", took, "cause", err)
	}
	return verdict, err
}

// OutcomeOf classifies the end of a call. calls is the context that ends when running calls are given up.
func OutcomeOf(calls context.Context, v record.Verdict, err error) Outcome {
	switch {
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
	settleFinish settlement = iota // the offset may move on
	settleDrop                     // the partition is going: leave the record to its next owner
	settleKnock                    // no component there: again when the gate lets it
	settleRetry                    // again after a back-off
	settleBury                     // dead letter, skip or stop
	settleHold                     // the partition stands still
)

// judge decides what follows from a verdict. It is the one place that does.
func (d *Dispatcher) judge(p *Partition, it *item, v record.Verdict, err error) settlement {
	switch OutcomeOf(p.ctx, v, err) {
	case OutcomeDone:
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
		it.attempts++
		// A component that fails while its link or the provider is being stopped may fail because of that, and no stop
		// may cost a record. The next owner sees whether it fails by itself.
		if limit := d.cfg.Delivery.MaxAttempts; limit > 0 && it.attempts >= limit && !p.isClosing() {
			return settleBury
		}
		return settleRetry
	}
}

// bury takes a record out of the way that no further delivery can help.
func (d *Dispatcher) bury(p *Partition, it *item, cause error) settlement {
	log := d.cfg.Log.With("topic", p.topic, "partition", p.id, "offset", it.rec.Offset, "attempts", it.earlier+it.attempts, "cause", cause)
	switch {
	case d.cfg.DeadLetter != nil:
		if !d.deadLetter(p, it, cause, log) {
			return settleDrop
		}
		d.cfg.Observer.Buried(true)
		log.Warn("a record was dead-lettered", "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic)
		return settleFinish
	case d.cfg.Delivery.OnReject == settings.RejectStop:
		log.Error("a record was rejected: its partition stands still (on_reject=stop)")
		return settleHold
	default:
		d.cfg.Observer.Buried(false)
		log.Warn("a record was rejected and is skipped: no dead_letter_topic is set")
		return settleFinish
	}
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

// settle carries a settlement out and lets other calls begin.
func (d *Dispatcher) settle(p *Partition, it *item, s settlement, err error) {
	d.mu.Lock()
	l := it.lane
	d.inFlight--
	p.inFlight--
	if s == settleDrop {
		p.givenUp = append(p.givenUp, it.rec.Offset)
	}
	switch {
	case s == settleFinish:
		p.finish(it)
	case p.closing:
		l.state = laneIdle
	case s == settleKnock:
		p.makeReady(l)
	case s == settleRetry:
		p.backOff(l, d.backoff(it.attempts))
	case s == settleHold:
		p.held = fmt.Errorf("offset %d was rejected: %w", it.rec.Offset, err)
		l.state = laneIdle
	}
	if p.closing && p.inFlight == 0 {
		close(p.drained)
	}
	d.schedule()
	d.mu.Unlock()
	d.cfg.Progress()
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

// settleGate opens or closes the gate by what a call met. Lanes that waited for it to open
// are looked at at once.
func (d *Dispatcher) settleGate(it *item, s settlement, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	probe := it.probe
	it.probe = false
	switch s {
	case settleKnock:
		first := d.gate.cause == nil
		d.gate.close(time.Now(), err, probe)
		if first {
			d.cfg.Log.Warn("no component takes calls: records wait", "cause", err)
		}
	case settleDrop:
		if probe {
			d.gate.unused()
		}
	default:
		if d.gate.open() {
			d.cfg.Log.Info("the component takes calls again")
			d.schedule()
		}
	}
}
