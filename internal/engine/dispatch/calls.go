package dispatch

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// failingCalls in a row, or failingSome in a row of which the first began at least the time failingFor ago, are a
	// component that fails: a bad record between good ones is not.
	failingCalls = 10
	failingSome  = 2
	failingFor   = 30 * time.Second
	// failingForgotten is how long after its last call a component counts as failing that has nothing to do.
	failingForgotten = 5 * time.Minute
)

// Calls knows which calls of a component are under way and whether it fails. The zero value knows of none. Whoever has
// one guards it.
type Calls struct {
	first, last *Running
	count       int
	worked      time.Time // when the last call went well
	failing     Failing
	lastFailure *Failure // never changed
}

// Running is a call that is under way.
type Running struct {
	began      time.Time
	record     *record.Record // the first of the call
	prev, next *Running
	listed     bool
}

// Failing is a component that has not handled any record for a while, though it was called.
type Failing struct {
	// Calls is the number of calls since the last that went well.
	Calls int
	// Since is when the first of them began, Last when the last ended.
	Since, Last time.Time
	// Err is why the last failed, Topic, Partition and Offset a record of it.
	Err       error
	Topic     string
	Partition int32
	Offset    int64
	// several tells that it was not the same record each time.
	several bool
}

// Failure is a record that the component failed.
type Failure struct {
	At        time.Time
	Err       error
	Topic     string
	Partition int32
	Offset    int64
}

// Hanging are calls of which none has gone well since the oldest began, a while ago.
type Hanging struct {
	Calls int
	// Began is when the oldest began, Topic, Partition and Offset its first record.
	Began     time.Time
	Topic     string
	Partition int32
	Offset    int64
}

// Begin notes that a call begins. first is its first record.
func (c *Calls) Begin(r *Running, first *record.Record, now time.Time) {
	*r = Running{began: now, record: first, prev: c.last, listed: true}
	c.count++
	if c.last != nil {
		c.last.next = r
	} else {
		c.first = r
	}
	c.last = r
}

// End notes that a call is over, and what it said. It may be told more than once.
func (c *Calls) End(r *Running, result *CallResult, now time.Time) {
	if !r.listed {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		c.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		c.last = r.prev
	}
	began := r.began
	*r = Running{}
	c.count--
	if r := result.Failed; r != nil {
		c.lastFailure = &Failure{At: now, Err: result.Err, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	}
	switch {
	case result.Worked:
		c.failing, c.worked = Failing{}, now
	case result.Failed != nil:
		c.failed(result, began, now)
	}
}

// failed notes that a call that began at a time went well for no record, and why, for one of them.
func (c *Calls) failed(result *CallResult, began, now time.Time) {
	f := &c.failing
	if f.Calls == 0 || began.Before(f.Since) {
		f.Since = began
	}
	f.Calls++
	if r := result.Failed; f.Calls > 1 && (r.Topic != f.Topic || r.Partition != f.Partition || r.Offset != f.Offset) {
		f.several = true
	}
	f.Last, f.Err = now, result.Err
	f.Topic, f.Partition, f.Offset = result.Failed.Topic, result.Failed.Partition, result.Failed.Offset
}

// LastFailure is the last record that the component failed, the first of its call; nil where there was none.
func (c *Calls) LastFailure() *Failure { return c.lastFailure }

// Oldest is when the call began that has been under way for longest; zero where there is none.
func (c *Calls) Oldest() time.Time {
	if c.first == nil {
		return time.Time{}
	}
	return c.first.began
}

// Hanging tells of calls that have been under way for the time failingFor and longer, while none has gone well; nil
// where there are none.
func (c *Calls) Hanging(now time.Time) *Hanging {
	if c.first == nil || now.Sub(c.first.began) < failingFor || c.worked.After(c.first.began) {
		return nil
	}
	rec := c.first.record
	return &Hanging{Calls: c.count, Began: c.first.began, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
}

// Failing tells how a component fails; nil where it does not. busy tells that records wait or are with it.
func (c *Calls) Failing(now time.Time, busy bool) *Failing {
	f := c.failing
	switch {
	case f.Calls < failingSome, f.Calls < failingCalls && now.Sub(f.Since) < failingFor:
		return nil
	case !busy && !f.several && f.Calls < failingCalls:
		return nil // it was one bad record, and there was no other one
	case !busy && now.Sub(f.Last) > failingForgotten:
		return nil
	}
	return &f
}
