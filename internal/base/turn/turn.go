package turn

import "context"

// Turn is held by one goroutine at a time. It is made by [New], and its methods may be called by many goroutines at
// once.
type Turn chan struct{}

// New returns a Turn that nobody has.
func New() Turn { return make(Turn, 1) }

// Lock takes the turn, as soon as nobody has it.
func (t Turn) Lock() { t <- struct{}{} }

// LockContext takes the turn, or returns ctx's error where ctx ends before.
func (t Turn) LockContext(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives the turn back.
func (t Turn) Unlock() {
	select {
	case <-t:
	default:
		panic("turn: given back by nobody who has it")
	}
}
