package wrpc

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
)

// budget bounds the bytes that all calls of a client or server hold together: what has come of them, and what has been
// made of it.
type budget struct {
	limit   int64
	account *memory.Account // what the bytes are taken from besides; nil is without a limit
	used    atomic.Int64
	granted atomic.Int64 // what of the account is taken; changed with mu held

	mu sync.Mutex
}

// grain is what is taken from the account at once, so that not every message asks it.
const grain = 256 << 10

// take takes n bytes, or none and returns why.
func (b *budget) take(n int64) error {
	used := b.used.Add(n)
	if used > b.limit {
		b.used.Add(-n)
		return fmt.Errorf("more than %d bytes in all calls: %w", b.limit, ErrTooLarge)
	}
	if b.account != nil && used > b.granted.Load() && !b.grant() {
		b.used.Add(-n)
		return fmt.Errorf("no memory is left for calls (provider_max_memory): %w", ErrTooLarge)
	}
	return nil
}

// grant takes from the account what is used and not granted.
func (b *budget) grant() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	missing := b.used.Load() - b.granted.Load()
	if missing <= 0 {
		return true
	}
	for _, more := range []int64{(missing + grain - 1) / grain * grain, missing} {
		if b.account.Take(more) {
			b.granted.Add(more)
			return true
		}
	}
	return false
}

// give gives n bytes back.
func (b *budget) give(n int64) {
	used := b.used.Add(-n)
	if b.account == nil || b.granted.Load()-used <= 2*grain && used != 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if spare := b.granted.Load() - b.used.Load(); spare > 0 {
		b.account.Give(spare)
		b.granted.Add(-spare)
	}
}
