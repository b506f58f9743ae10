package deadline

import (
	"context"
	"sync"
	"time"
)

// Shared gives operations that begin about the same time one context. A context of its own, with a timer and an entry
// with its parent, costs each of them more than it is worth: nearly all end early, and the few that do not may as well
// end a little earlier or later than to the nanosecond. It is safe for concurrent use.
type Shared struct {
	parent      context.Context // the contexts given out are its children
	least, most time.Duration
	cause       error

	mu      sync.Mutex
	current *Lease
}

// Lease is a context that others have as well. Its user releases it in the end; it must not be used after that.
type Lease struct {
	context.Context
	shared *Shared
	until  time.Time // as long as that, others may get it
	cancel context.CancelFunc
	users  int // guarded by shared.mu; as long as others may get it, shared is one
}

// New returns a Shared whose contexts end with parent, or by themselves after at least the time least and at most the
// time most from when they are taken. cause is what [context.Cause] then says; nil is [context.DeadlineExceeded]. The
// nearer the two times, the more contexts there are.
func New(parent context.Context, least, most time.Duration, cause error) *Shared {
	return &Shared{parent: parent, least: least, most: most, cause: cause}
}

// Take returns a context for one operation.
func (s *Shared) Take() *Lease {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || now.After(s.current.until) {
		if s.current != nil {
			s.current.leave()
		}
		l := &Lease{shared: s, until: now.Add(s.most - s.least), users: 1}
		l.Context, l.cancel = context.WithTimeoutCause(s.parent, s.most, s.cause)
		s.current = l
	}
	s.current.users++
	return s.current
}

// Release ends the use by one operation. The last one frees what the context holds.
func (l *Lease) Release() {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	l.leave()
}

// leave must be called with shared.mu held.
func (l *Lease) leave() {
	l.users--
	if l.users == 0 {
		l.cancel()
	}
}
