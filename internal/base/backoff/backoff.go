package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a wait that doubles with each failure.
type Backoff struct {
	// First is the wait after the first failure, Most the longest one.
	First, Most time.Duration
}

// After returns the wait after so many failures in a row.
func (b Backoff) After(failures int) time.Duration {
	wait := b.First
	for ; failures > 1 && wait < b.Most; failures-- {
		wait *= 2
	}
	return min(wait, b.Most)
}

// Spread returns a wait by chance between half of [Backoff.After] and the whole, so that those who failed together do
// not come back together. It is a millisecond at least.
func (b Backoff) Spread(failures int) time.Duration {
	wait := max(b.After(failures), time.Millisecond)
	return wait/2 + rand.N(wait/2+1)
}

// Sleep waits for d. It returns false when ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
