package lattice

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// ControlTarget is a [Handler] whose links may be acted on by whoever may publish to
// wasmbus.rpc.{lattice}.{provider key}.control. The subject is this provider's own addition: hosts do not know it.
type ControlTarget interface {
	// MayControl tells whether that is allowed; the subject is not subscribed to where it is not.
	MayControl() bool
	// Control carries out a request and returns the answer; nil is that it is for another copy, which answers itself. It
	// returns soon after ctx ends, and is not called any more when [Session.Run] has returned.
	Control(ctx context.Context, request []byte) []byte
}

const (
	// maxControls bounds the requests that are carried out at once. What is more is not answered.
	maxControls = 16
	// maxControlBytes bounds a request.
	maxControlBytes = 16 << 10
)

// controls are the requests to act on links that are carried out.
type controls struct {
	ctx    context.Context // ends with the run
	cancel context.CancelFunc

	mu      sync.Mutex
	ended   bool
	count   int
	running sync.WaitGroup
}

func newControls() *controls {
	c := new(controls)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// mayControl returns what links are acted on by, nil where nobody may.
func (r *run) mayControl() ControlTarget {
	if target, can := r.handler.(ControlTarget); can && target.MayControl() {
		return target
	}
	return nil
}

// onControl runs in the goroutine of the subscription, and waits for nothing.
func (r *run) onControl(msg *nats.Msg) {
	target := r.mayControl()
	if target == nil || !r.answerable(msg) {
		return
	}
	if len(msg.Data) > maxControlBytes {
		r.log.Warn("a request to act on a link is not answered: it is too large", "bytes", len(msg.Data))
		return
	}
	c := r.controls
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return
	case c.count == maxControls:
		r.log.Warn("a request to act on a link is not answered: too many are carried out already")
		return
	}
	c.count++
	c.running.Go(func() { r.control(target, msg) })
}

func (r *run) control(target ControlTarget, msg *nats.Msg) {
	defer func() {
		r.controls.mu.Lock()
		defer r.controls.mu.Unlock()
		r.controls.count--
	}()
	answer := target.Control(r.controls.ctx, msg.Data)
	if answer == nil {
		return
	}
	if err := msg.Respond(answer); err != nil {
		r.log.Warn("answering a request to act on a link", "error", err)
	}
}

// endControls returns when no link is being acted on, and none will be.
func (r *run) endControls() {
	r.controls.mu.Lock()
	r.controls.ended = true
	r.controls.mu.Unlock()
	r.controls.cancel()
	r.controls.running.Wait()
}
