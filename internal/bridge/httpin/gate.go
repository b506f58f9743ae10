package httpin

import (
	"context"
	"sync"
)

// gate counts the requests that run, and lets none in once it is closed.
type gate struct {
	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed when nothing runs any more and nothing comes in; nil until the gate closes
}

// enter lets a request in, which calls leave in any case. It tells whether the gate is open.
func (g *gate) enter() (open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running++
	return !g.closed
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// close lets nothing in any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// wait returns when nothing runs, or when ctx ends, which it tells.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
