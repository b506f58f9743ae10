package wrpc

import (
	"context"
	"fmt"
	"sync"
)

// Small parts are joined once some are queued, so that a peer that sends single bytes cannot make each of them cost
// a slice of its own.
const (
	joinFrom  = 8
	joinBelow = 4 << 10
	joinUpTo  = 64 << 10
)

// stream is the receiving end of parameters or results: the subscription's callback pushes, the call's goroutine
// takes. It never blocks the callback, which serves all calls; what it holds is bounded by limit instead.
type stream struct {
	limit  int64
	shared *budget

	mu     sync.Mutex
	queue  [][]byte
	total  int64 // bytes pushed so far
	held   int64 // what is taken from shared until release: all that was pushed, and what was made of it
	over   bool  // what was held has been released
	end    error // what follows the queue; io.EOF where the peer ended the stream
	asleep bool
	signal chan struct{}
	first  [2][]byte // room for the queue of a call of ordinary size
}

// push appends part, which must not be changed afterwards. An error means that the stream has failed with it.
func (s *stream) push(part []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return nil
	}
	n := int64(len(part))
	if s.total+n > s.limit {
		return s.failLocked(fmt.Errorf("more than %d bytes in one call: %w", s.limit, ErrTooLarge))
	}
	if err := s.shared.take(n); err != nil {
		return s.failLocked(err)
	}
	s.total += n
	s.held += n
	if last := len(s.queue) - 1; last >= joinFrom && len(part) < joinBelow && len(s.queue[last]) < joinUpTo {
		s.queue[last] = append(s.queue[last], part...)
	} else {
		if s.queue == nil {
			s.queue = s.first[:0]
		}
		s.queue = append(s.queue, part)
	}
	s.wake()
	return nil
}

// failLocked ends the stream with err and returns it. The queue is of no use any more.
func (s *stream) failLocked(err error) error {
	s.end = err
	s.queue = nil
	s.wake()
	return err
}

// close ends the stream after what is queued. Only the first end counts.
func (s *stream) close(end error) {
	s.mu.Lock()
	if s.end == nil {
		s.end = end
		s.wake()
	}
	s.mu.Unlock()
}

// release drops what is held and gives its budget back.
func (s *stream) release(end error) {
	s.mu.Lock()
	if s.end == nil {
		s.end = end
	}
	s.queue = nil
	held := s.held
	s.held, s.over = 0, true
	s.wake()
	s.mu.Unlock()
	if held != 0 {
		s.shared.give(held)
	}
}

// Hold implements wit.Holder. It takes nothing after release, when there is nobody to give it back.
func (s *stream) Hold(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	if n < 0 {
		n = max(n, -s.held)
		s.shared.give(-n)
	} else if err := s.shared.take(n); err != nil {
		return err
	}
	s.held += n
	return nil
}

// drained tells whether there is nothing to take now and more may come.
func (s *stream) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0 && s.end == nil
}

// next waits for the next part.
func (s *stream) next(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.queue) > 0 {
			part := s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			return part, nil
		}
		if s.end != nil {
			return nil, s.end
		}
		if err := s.sleep(ctx); err != nil {
			return nil, err
		}
	}
}

// sleep waits with mu released until something has changed or ctx has ended.
func (s *stream) sleep(ctx context.Context) error {
	if s.signal == nil {
		s.signal = make(chan struct{}, 1)
	}
	s.asleep = true
	s.mu.Unlock()
	var err error
	select {
	case <-s.signal:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	s.asleep = false
	return err
}

// wake rouses the goroutine in sleep. It must be called with mu held.
func (s *stream) wake() {
	if !s.asleep {
		return
	}
	s.asleep = false
	select {
	case s.signal <- struct{}{}:
	default: // a signal that a sleeper left behind when its ctx ended does as well
	}
}
