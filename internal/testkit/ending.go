package testkit

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Ending returns a context whose time is over when the test calls over, at the latest at the test's end, and not by the
// clock: for what has to have come to some point before its time is over. A short time by the clock is over before that
// on a machine that has other things to do, and a long one is waited out by every run of the test.
func Ending(t testing.TB) (ctx context.Context, over func()) {
	e := &endless{Context: context.WithoutCancel(t.Context()), over: make(chan struct{})}
	over = sync.OnceFunc(func() { close(e.over) })
	t.Cleanup(over)
	return e, over
}

type endless struct {
	context.Context
	over chan struct{}
}

// Deadline is far away, for those who give somebody else what is left until then.
func (*endless) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (e *endless) Done() <-chan struct{}     { return e.over }

func (e *endless) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
