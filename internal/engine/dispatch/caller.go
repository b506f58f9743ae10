package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Caller makes the calls of a [record.Receiver]: all of them are made here.
type Caller struct {
	Receiver record.Receiver
	// Batches tells that records go in batches, whose sizes go to Observer.
	Batches bool
	// Limiter bounds the calls of all links of the provider together; nil does not.
	Limiter *semaphore.Weighted
	// Timeout is what a call has at least; it is named where a call takes longer.
	Timeout  time.Duration
	Observer Observer
	Log      *slog.Logger
}

// CallResult is what a call says of whoever takes calls, apart from its single records.
type CallResult struct {
	// GivenUp tells that the call was ended, so that what did not go well says nothing.
	GivenUp bool
	// Called is how many of the records somebody was called for.
	Called int
	// Reached tells that somebody took the call, Worked that a record of it went well.
	Reached, Worked bool
	// Unavailable is why nobody took it, After for how long nobody will.
	Unavailable error
	After       time.Duration
	// Failed is the first record that went wrong, with the reason; nil where none did.
	Failed *record.Record
	Err    error
	// outputs is how many outputs the records have.
	outputs int
}

// Call hands a batch over, and returns one outcome for each of its records and what the call says besides. given is the
// context that ends when calls are given up; the call's own ends with it, too, and is one of deadlines.
func (c *Caller) Call(given context.Context, deadlines *deadline.Shared, batch []*record.Record) ([]record.Outcome, CallResult) {
	if c.Limiter != nil {
		if err := c.Limiter.Acquire(given, 1); err != nil {
			return record.Each(len(batch), record.Outcome{Kind: record.Unanswered, Err: err}), CallResult{GivenUp: true, Called: len(batch)}
		}
		defer c.Limiter.Release(1)
	}
	ctx := deadlines.Take()
	defer ctx.Release()
	for _, r := range batch {
		if r.Attempt > 1 {
			c.Observer.Redelivered()
		}
	}
	began := time.Now()
	outcomes := record.Counted(c.Receiver.Receive(ctx, batch), len(batch))
	took := time.Since(began)
	result := CallResult{GivenUp: given.Err() != nil}
	if ctx.Err() != nil && !result.GivenUp {
		outcomes = c.atDeadline(outcomes)
	}
	for i := range outcomes {
		c.addOutcome(&result, &outcomes[i], batch[i], took)
	}
	if c.Batches && result.Called > 0 {
		c.Observer.Batched(result.Called)
	}
	return outcomes, result
}

// addOutcome takes one outcome into what a call says, and tells of it.
func (c *Caller) addOutcome(h *CallResult, o *record.Outcome, r *record.Record, took time.Duration) {
	h.outputs += len(o.Outputs)
	if o.Kind == record.Skipped || o.Uncalled {
		c.Observer.Delivered(record.Skipped, took)
		return
	}
	h.Called++
	switch {
	case o.Kind == record.Done:
		h.Reached, h.Worked = true, true
		c.Observer.Delivered(o.Kind, took)
		return
	case h.GivenUp:
		c.Observer.GivenUp(took)
	case o.Kind == record.Unavailable:
		h.Unavailable, h.After = o.Err, max(h.After, o.After)
		c.Observer.Delivered(o.Kind, took)
	default:
		h.Reached = true
		if h.Failed == nil {
			h.Failed, h.Err = r, o.Err
		}
		c.Observer.Delivered(o.Kind, took)
	}
	c.Log.Debug("a delivery failed", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempt", r.Attempt,
		"outcome", o.Kind, "given_up", h.GivenUp, "took", took, "error", o.Err)
}

// atDeadline says of outcomes of a call whose time is over which setting gave it. Answers stay as they are.
func (c *Caller) atDeadline(outcomes []record.Outcome) []record.Outcome {
	said := outcomes
	for i := range said {
		err := said[i].Err
		if !errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		switch said[i].Kind {
		case record.Unavailable:
			err = fmt.Errorf("within handle_timeout (%s): %w", c.Timeout, err)
		case record.Unanswered:
			err = fmt.Errorf("no answer came within handle_timeout (%s)", c.Timeout)
		case record.Retry, record.Done, record.Skipped, record.Reject:
			continue
		}
		if &outcomes[0] == &said[0] {
			outcomes = slices.Clone(said) // these are the Receiver's
		}
		outcomes[i].Err = err
	}
	return outcomes
}
