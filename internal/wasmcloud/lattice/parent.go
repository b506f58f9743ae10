package lattice

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrParentGone is the cause when a session ends because the host that started the process is gone.
var ErrParentGone = errors.New("the process that started this one is gone")

// parent is how the parent process is watched.
//
// A host that is killed leaves its providers behind: their standard input has long been closed, and no message comes.
// Such an orphan would go on taking records for a lattice that its successor serves too. Linux could send a signal at
// the parent's death (PR_SET_PDEATHSIG), but it does so when the parent's *thread* ends that spawned us, and the
// threads of the host's runtime come and go. Asking for the parent's id is sure: it changes when we are adopted.
type parent struct {
	id    func() int
	every time.Duration
	born  int // the id at first
}

func (p parent) withDefaults() parent {
	if p.id == nil {
		p.id = os.Getppid
	}
	if p.every <= 0 {
		p.every = time.Second
	}
	// Once and for all: a parent that dies between two watches must be missed by the second.
	p.born = p.id()
	return p
}

// watchParent derives a context that ends with [ErrParentGone] when the parent is gone. The returned function
// releases it, and returns when the watching goroutine has ended.
func (o *Options) watchParent(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if o.IgnoreParent {
		return ctx, func() { cancel(nil) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(o.parent.every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if o.parent.id() != o.parent.born {
					cancel(ErrParentGone)
					return
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}
