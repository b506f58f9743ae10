package integration

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// call is one call of a component as it saw it.
type call struct {
	body       string
	link       string
	begin, end time.Time // end is zero while the call runs
	err        error
}

// journal is a component's record of its calls. Its methods may be called from any goroutine.
type journal struct {
	mu      sync.Mutex
	calls   []*call
	running int
	seen    map[string]int // calls by body
	good    map[string]int // those that were answered with ok
	changed chan struct{}  // closed at the next change
}

func newJournal() *journal {
	return &journal{seen: make(map[string]int), good: make(map[string]int), changed: make(chan struct{})}
}

// handler notes each call and does what do says; nil does nothing. times is how often the record's body has been seen
// by now, this call included.
func (j *journal) handler(
	do func(ctx context.Context, c *testkit.Component, msg testkit.Call, times int) error,
) testkit.HandlerFunc {
	return func(ctx context.Context, c *testkit.Component, msg testkit.Call) error {
		entry := &call{body: string(msg.Body), begin: time.Now()}
		if names := msg.Header["link-name"]; len(names) > 0 {
			entry.link = names[0]
		}
		var times int
		j.change(func() {
			j.calls = append(j.calls, entry)
			j.running++
			j.seen[entry.body]++
			times = j.seen[entry.body]
		})
		var err error
		if do != nil {
			err = do(ctx, c, msg, times)
		}
		j.change(func() {
			entry.end, entry.err = time.Now(), err
			if err == nil && ctx.Err() != nil {
				entry.err = ctx.Err() // nobody gets this answer
			}
			j.running--
			if entry.err == nil {
				j.good[entry.body]++
			}
		})
		return err
	}
}

func (j *journal) change(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
	close(j.changed)
	j.changed = make(chan struct{})
}

// history is what the component saw so far, in the order of the calls' beginnings.
func (j *journal) history() []call {
	j.mu.Lock()
	defer j.mu.Unlock()
	calls := make([]call, len(j.calls))
	for i, c := range j.calls {
		calls[i] = *c
	}
	return calls
}

// done counts how often each body was handled well.
func (j *journal) done() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.good)
}

// count returns how many calls have begun, and how many of them run.
func (j *journal) count() (begun, running int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.calls), j.running
}

// doneCount is the number of different records that were handled well.
func (j *journal) doneCount() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.good)
}

// wait waits until check returns nil, looking again whenever a call begins or ends.
func (j *journal) wait(t *testing.T, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(timeout)
	for {
		j.mu.Lock()
		changed := j.changed
		j.mu.Unlock()
		err := check()
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not so after %v: %v", timeout, err)
		}
	}
}

// waitDone waits until n different records have been handled well.
func (j *journal) waitDone(t *testing.T, n int) {
	t.Helper()
	j.wait(t, patience, func() error {
		if got := j.doneCount(); got < n {
			return fmt.Errorf("%d of %d records are done", got, n)
		}
		return nil
	})
}

// waitBegun waits until n calls have begun.
func (j *journal) waitBegun(t *testing.T, n int) {
	t.Helper()
	j.wait(t, patience, func() error {
		if got, _ := j.count(); got < n {
			return fmt.Errorf("%d of %d calls have begun", got, n)
		}
		return nil
	})
}

// waitRunning waits until n calls run at once.
func (j *journal) waitRunning(t *testing.T, n int) {
	t.Helper()
	j.wait(t, patience, func() error {
		if _, got := j.count(); got != n {
			return fmt.Errorf("%d calls run, want %d", got, n)
		}
		return nil
	})
}

// patience is how long a test waits for what takes a working system some seconds on a busy machine.
const patience = 90 * time.Second

// checkEach fails the test unless every body in want was done, each once where once says so. It returns the number of
// calls that did again what had been done.
func (j *journal) checkEach(t *testing.T, want []string, once bool) (again int) {
	t.Helper()
	done := j.done()
	lost := 0
	for _, body := range want {
		switch n := done[body]; {
		case n == 0:
			if lost++; lost <= 10 {
				t.Errorf("record %.40q is lost", body)
			}
		case n > 1:
			again += n - 1
			if once {
				t.Errorf("record %.40q was handled %d times", body, n)
			}
		}
		delete(done, body)
	}
	if lost > 0 {
		t.Errorf("%d of %d records are lost", lost, len(want))
	}
	for body := range done {
		t.Errorf("record %.40q was handled, which nobody produced", body)
	}
	return again
}
