package wrpc

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// lastFlush bounds the wait for the ends of calls to reach the NATS server after the shutdown's own time is over.
const lastFlush = 100 * time.Millisecond

const cutOffText = "a call was cut off by the shutdown"

// Shutdown takes no further calls, waits until those that have come are done or ctx ends, and then ends the rest
// without a value and cancels the context of their handlers. It returns ctx's error where calls were cut off. A
// handler that heeds no context is not waited for after that. A second Shutdown returns at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	watches := make([]*watch, 0, len(s.funcs))
	for _, w := range s.funcs {
		if w != nil { // nil is a Handle under way, which closes its subscription itself
			watches = append(watches, w)
		}
	}
	s.mu.Unlock()

	s.stopTaking(ctx, watches)
	s.mu.Lock()
	s.drained = true
	s.signalIdle()
	s.mu.Unlock()
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		select {
		case <-s.idle: // both are so, and nothing is left to cut off
		default:
			err = s.cutOff(ctx)
		}
	}
	s.cancel()
	if err == nil {
		s.work.Wait()
	}
	s.flush(context.WithoutCancel(ctx), lastFlush)
	for _, w := range watches {
		w.close()
	}
	s.in.close()
	return err
}

// stopTaking ends the subscriptions of the functions and waits until the calls that they had been given are taken.
// Unsubscribing alone would drop those: no other server of the queue group gets them any more.
func (s *Server) stopTaking(ctx context.Context, watches []*watch) {
	for _, w := range watches {
		// An error means that the connection is closed, with which the subscription is as well.
		_ = w.sub.Drain()
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.flush(ctx, time.Until(deadline))
	} else {
		s.flush(ctx, 10*time.Second)
	}
	// nats.go looks at a drained subscription ten times a second, too seldom for a shutdown of 300 ms, and has no
	// event for it.
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for _, w := range watches {
		for {
			if waiting, _, err := w.sub.Pending(); err != nil || waiting == 0 {
				break
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// cutOff ends all calls without a value.
func (s *Server) cutOff(ctx context.Context) error {
	s.cancel()
	s.mu.Lock()
	s.stopped = true
	waiting := s.places.abandonWaiting()
	left := s.places.running + s.places.awaited + len(waiting)
	s.mu.Unlock()
	for _, c := range waiting {
		c.refuse(false)
	}
	for _, r := range s.in.all() {
		r.(*call).abandon(cutOffText, ErrClosed)
	}
	return fmt.Errorf("%d wRPC calls were cut off: %w", left, ctx.Err())
}

// flush waits until the NATS server has seen what has been sent. Without a connection there is nothing to wait for.
func (s *Server) flush(ctx context.Context, most time.Duration) {
	if !s.nc.IsConnected() || most <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := s.nc.FlushWithContext(ctx); err != nil && s.nc.Status() == nats.CONNECTED {
		s.opts.Logger.Warn("flushing the answers of calls failed", "error", err)
	}
}
