package otlp

import (
	"context"
	"errors"
	"sync"
)

// outlet is where one signal leaves: it has an account of what became of it, and an end in time. It is safe for
// concurrent use.
type outlet struct {
	to     *target
	report *reporter

	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup // the exports under way

	life  context.Context // ends when the time for a shutdown is over
	cut   context.CancelFunc
	once  sync.Once
	ended chan struct{} // closed by close, at its end
}

func newOutlet(to *target, report *reporter) *outlet {
	o := &outlet{to: to, report: report, ended: make(chan struct{})}
	o.life, o.cut = context.WithCancel(context.Background())
	return o
}

var errClosed = errors.New("the export has been shut down")

// export has an exporter send some items, its repeats included within the time of one export. The outcome has been
// reported when it returns; as an error it would be so a second time, by OpenTelemetry's global error handler.
func (o *outlet) export(ctx context.Context, items int, send func(context.Context) error) {
	if items == 0 {
		return
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		o.report.outcome(items, errClosed)
		return
	}
	o.pending.Add(1)
	o.mu.Unlock()
	defer o.pending.Done()

	ctx, cancel := context.WithTimeout(ctx, o.to.timeout)
	defer cancel()
	defer context.AfterFunc(o.life, cancel)()
	o.report.outcome(items, send(ctx))
}

// close gives up what is being sent when ctx ends, waits for it to end, and shuts the exporter down. Calls after the
// first return at once.
func (o *outlet) close(ctx context.Context, shutdown func(context.Context) error, after func()) {
	o.once.Do(func() {
		o.mu.Lock()
		o.closed = true
		o.mu.Unlock()
		stop := context.AfterFunc(ctx, o.cut)
		o.pending.Wait()
		stop()
		o.cut()
		// It could only say that ctx has ended: nothing waits in it any more.
		_ = shutdown(ctx)
		after()
		close(o.ended)
	})
}
