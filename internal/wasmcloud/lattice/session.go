package lattice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// Options are what a [Session] needs besides the host data. The zero value is usable.
type Options struct {
	// Logger gets what an operator should know; nil discards it.
	Logger *slog.Logger
	// ShutdownTimeout bounds Handler.Shutdown when the host asks for the shutdown; 0 means
	// [DefaultShutdownTimeout]. It should be below the host's --provider-shutdown-delay-ms, 300 ms by default, after
	// which the host kills the process.
	ShutdownTimeout time.Duration
	// StopTimeout bounds Handler.Shutdown where nobody waits for a reply, because the context ended or the host is
	// gone; 0 means [DefaultStopTimeout].
	StopTimeout time.Duration
	// IgnoreParent keeps the session running when the process that started this one ends. It is for processes that
	// no host started.
	IgnoreParent bool
	// Inboxes are the reply subjects that are answered.
	Inboxes reply.Inboxes
	// Memory is what messages about links are taken from while they wait; nil is without a limit.
	Memory *memory.Account

	// Fit makes what the NATS server says fit for health: without secrets. nil leaves it as it is.
	Fit func(string) string

	// Knobs of tests; zero values are what everybody else wants.
	parent     parent
	maxChanges int
}

// Defaults of [Options].
const (
	DefaultShutdownTimeout = 250 * time.Millisecond
	DefaultStopTimeout     = 5 * time.Second
)

var (
	// ErrClosed says that the NATS connection was closed under a running session.
	ErrClosed = errors.New("the lattice connection was closed")
	// ErrStuck says that a method of the Handler had not returned when the session was over.
	ErrStuck = errors.New("the handler is stuck in a link")
)

// Session is a provider's connection to its lattice. Its methods may be called by any goroutine.
type Session struct {
	data    *hostdata.Data
	options Options
	log     *slog.Logger
	opener  opener
	nc      *nats.Conn
	closed  chan struct{} // closed when nc is closed for good

	running  atomic.Bool
	problems problems
	refusals atomic.Pointer[func(error)]
}

// Conn is the NATS connection to the lattice. It reconnects without end, and refuses to publish while it is
// disconnected instead of sending later what nobody waits for any more. It is closed by [Session.Close].
func (s *Session) Conn() *nats.Conn { return s.nc }

// OnRefusal sets what is called with each error by which NATS says that it refuses a publish or a subscription of the
// connection. It must not block.
func (s *Session) OnRefusal(told func(error)) { s.refusals.Store(&told) }

// Close closes the connection and waits until its goroutines are done. It does not end [Session.Run] in order; that
// is what Run's context is for.
func (s *Session) Close() {
	s.nc.Close()
	<-s.closed
}

// Run serves the lattice until the host asks for the shutdown, ctx ends, or the process's parent is gone, and then
// returns nil. It returns an error where the session ended otherwise. It calls h.Shutdown exactly once before it
// returns, whatever happens. The connection stays open.
//
// All subscriptions are made and known to the server before the links of the host data are handled, so that only
// those links can be missed that the host published after it took the snapshot and before Run was called.
//
// Run may be called once.
func (s *Session) Run(ctx context.Context, h Handler) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("running a lattice session: it ran before")
	}
	ctx, cancel := s.options.watchParent(ctx)
	defer cancel()

	r := &run{
		Session: s,
		handler: h,
		links:   newLinks(s, h),
		arrived: make(chan *nats.Msg, s.options.maxChanges),
		changes: newChanges(s.options.maxChanges, s.options.Memory),
		stops:   make(chan *nats.Msg, 1),
		quit:    make(chan struct{}),
		worked:  make(chan struct{}),

		controls: newControls(),
	}
	if err := r.subscribe(ctx); err != nil {
		close(r.worked)
		_ = r.end(nil, s.options.StopTimeout) // what failed it is told below
		if ctx.Err() != nil {
			s.log.Info("lattice session ends before it began", "reason", context.Cause(ctx))
			return nil
		}
		return fmt.Errorf("running a lattice session: %w", err)
	}
	go r.work()

	var err error
	select {
	case msg := <-r.stops:
		s.log.Info("host asks for shutdown")
		err = r.end(msg, s.options.ShutdownTimeout)
	case <-ctx.Done():
		s.log.Info("lattice session ends", "reason", context.Cause(ctx))
		err = r.end(nil, s.options.StopTimeout)
	case <-s.closed:
		err = errors.Join(ErrClosed, r.end(nil, s.options.StopTimeout))
	}
	if err != nil {
		return fmt.Errorf("running a lattice session: %w", err)
	}
	return nil
}

// run is what belongs to one call of [Session.Run].
type run struct {
	*Session
	handler Handler
	links   *links

	// arrived takes link and config messages of three subscriptions straight from the connection's reader, which is
	// what keeps the order in which the server sent them; changes is where they wait.
	arrived chan *nats.Msg
	changes *changes
	stops   chan *nats.Msg

	changeSubs  []*nats.Subscription
	requestSubs []*nats.Subscription

	quit   chan struct{} // closed to end the worker
	worked chan struct{} // closed when the worker has ended

	controls      *controls
	statusAnswers statusAnswers
	answering     sync.Mutex // held while a health check is answered
	ended         bool       // guarded by answering: no more health checks
}
