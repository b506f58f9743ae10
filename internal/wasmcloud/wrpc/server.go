package wrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// Handler serves one call: it decodes the parameters and returns the encoded results. It may start before the
// parameters are complete; the decoder waits for them. An error ends the call without a value, which traps a guest,
// and is logged; failures that a guest is to see belong into the results. header must not be changed. ctx ends when
// the server gives up waiting for its calls in [Server.Shutdown].
type Handler func(ctx context.Context, header nats.Header, params *wit.Decoder) (result []byte, err error)

// ServerOptions are the options of a [Server]. Zero values stand for the defaults; Prefix is needed.
type ServerOptions struct {
	// Prefix is "{lattice}.{id}", the id being the one that links name. It is also the queue group, by which all
	// servers of the same id share the calls.
	Prefix string
	// MaxParamsBytes bounds the encoded parameters of one call. 64 MiB is the default.
	MaxParamsBytes int64
	// MaxBufferedBytes bounds what all calls hold together: parameters, those of waiting calls included, and what is made
	// of them. Calls beyond are refused or end without a value. 512 MiB is the default.
	MaxBufferedBytes int64
	// Memory is what these bytes are taken from besides; nil is without a limit.
	Memory *memory.Account
	// BacklogBytes bounds the messages that wait to be taken, for each subscription. 64 MiB is the default.
	BacklogBytes int
	// MaxCalls bounds the calls that run at once, and MaxWaiting those that wait, not yet accepted, for one of them
	// to end. One source may have as many of both as are free. Further calls are refused: they end without a value. 4096
	// is the default of both.
	MaxCalls, MaxWaiting int
	// MaxAwaited bounds the calls whose handler, or whose results, cannot go on before the caller sends more of its
	// parameters. They do not count as running. Where there are more, the source with most of them loses one that would
	// soon be given up. 4096 is the default.
	MaxAwaited int
	// Source names who made a call, for these bounds. The header source-id does by default.
	Source func(nats.Header) string
	// AcceptInterval is the time from the accept to its first repetition; each further one takes twice as long.
	// Repetitions end when the caller has taken the accept, at the latest after AcceptRepeats. 5 ms and 10, which
	// together are 5 s, are the defaults.
	AcceptInterval time.Duration
	AcceptRepeats  int
	// ParamsTimeout bounds the time that a caller may take between two messages of its parameters, their end
	// included, and ten times as much is the bound of all of them. A call that exceeds it is ended without a value.
	// 10 s is the default.
	ParamsTimeout time.Duration
	// MinParamsRate is how many bytes a second a caller must send on average to be given more than ParamsTimeout in all.
	// 64 KiB is the default.
	MinParamsRate int64
	// Inboxes are the reply subjects of calls that are answered; other calls are dropped.
	Inboxes reply.Inboxes
	// Logger gets the errors of handlers and what peers do wrong. Nothing is logged without one.
	Logger *slog.Logger
}

func (o ServerOptions) withDefaults() ServerOptions {
	setDefault(&o.MaxParamsBytes, 64<<20)
	setDefault(&o.MaxBufferedBytes, 512<<20)
	setDefault(&o.BacklogBytes, backlogBytes)
	setDefault(&o.MaxCalls, 4096)
	setDefault(&o.MaxWaiting, 4096)
	setDefault(&o.MaxAwaited, 4096)
	setDefault(&o.MinParamsRate, 64<<10)
	setDefault(&o.AcceptInterval, 5*time.Millisecond)
	setDefault(&o.AcceptRepeats, 10)
	setDefault(&o.ParamsTimeout, 10*time.Second)
	if o.Source == nil {
		o.Source = func(h nats.Header) string { return h.Get("source-id") }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server serves functions on a NATS connection. Each call has a goroutine to itself; every call that is
// accepted is ended, whatever happens. It is safe for concurrent use.
type Server struct {
	nc   *nats.Conn
	opts ServerOptions
	in   *inbox

	params budget
	counts counters
	noise  rate.Sometimes // holds back what hostile peers could flood the log with

	ctx         context.Context // of all handlers
	cancel      context.CancelFunc
	work        sync.WaitGroup // goroutines of calls
	nextCall    chan *call     // to a goroutine that has run a call and waits for another
	idleWorkers atomic.Int32   // goroutines that wait for one

	// mu guards what follows. Nothing else is locked and nothing is published while it is held.
	mu       sync.Mutex
	funcs    map[string]*watch // by subject
	closing  bool              // no further calls are asked for
	drained  bool              // those that had been given to us have been taken
	stopped  bool              // calls that come all the same are refused
	places   places
	refusing int // refused calls that wait for the end of their parameters
	refusals refusals
	idle     chan struct{}
}

// NewServer subscribes to the server's inbox. nc stays the caller's. [Server.Shutdown] must be called in the end.
func NewServer(nc *nats.Conn, opts ServerOptions) (*Server, error) {
	s := &Server{
		nc:       nc,
		opts:     opts.withDefaults(),
		funcs:    make(map[string]*watch),
		noise:    rate.Sometimes{Interval: time.Second},
		idle:     make(chan struct{}),
		nextCall: make(chan *call),
	}
	if !reply.Literal(opts.Prefix) {
		return nil, fmt.Errorf("opening a wRPC server: prefix %q is no subject: %w", opts.Prefix, ErrMalformed)
	}
	s.params.limit, s.params.account = s.opts.MaxBufferedBytes, s.opts.Memory
	s.places = places{
		most: s.opts.MaxCalls, mostWaiting: s.opts.MaxWaiting, mostAwaited: s.opts.MaxAwaited,
		sources: make(map[string]*source),
	}
	s.in = newInbox(nc, nil)
	if err := s.in.open(nc, s.opts.BacklogBytes, s.opts.Logger); err != nil {
		return nil, fmt.Errorf("opening a wRPC server: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Handle serves function of instance (the interface with its version) with h. Calls may come as soon as the NATS
// server has seen the subscription, which a flush of the connection waits for.
func (s *Server) Handle(instance, function string, h Handler) error {
	subject, err := invocationSubject(s.opts.Prefix, instance, function)
	if err != nil {
		return err
	}
	s.mu.Lock()
	_, served := s.funcs[subject]
	switch {
	case s.closing:
		err = ErrClosed
	case served:
		err = errors.New("it is served already")
	default:
		s.funcs[subject] = nil // reserved
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("serving %s of %s: %w", function, instance, err)
	}
	sub, err := s.nc.QueueSubscribe(subject, s.opts.Prefix, func(m *nats.Msg) { s.take(h, m) })
	var w *watch
	if err == nil {
		w, err = watchSubscription(sub, s.opts.BacklogBytes, s.opts.Logger)
	}
	s.mu.Lock()
	closing := s.closing
	if err != nil || closing {
		delete(s.funcs, subject)
	} else {
		s.funcs[subject] = w
	}
	s.mu.Unlock()
	if err == nil && closing {
		w.close()
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("serving %s of %s: %w", function, instance, err)
	}
	return nil
}

// take is the callback of a function's subscription.
func (s *Server) take(h Handler, m *nats.Msg) {
	s.counts.calls.Add(1)
	// A reply subject in our own inbox would make us answer ourselves.
	if !s.opts.Inboxes.Answer(m.Reply) || strings.HasPrefix(m.Reply, s.in.prefix) {
		s.counts.malformed.Add(1)
		s.warnSeldom("a call that cannot be answered was dropped", "subject", m.Subject, "reply",
			redact.Short{Text: m.Reply, Limit: maxLoggedSubject})
		return
	}
	c := &call{server: s, handler: h, caller: m.Reply, subject: m.Subject, header: m.Header, first: m.Data}
	c.from = text.Whole(s.opts.Source(m.Header), maxSource)
	now := time.Now()
	noRoom := c.keep()
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		c.refuse(false)
		return
	}
	if noRoom != nil {
		s.refusals.add(c.from, now)
		s.mu.Unlock()
		s.counts.refused.Add(1)
		s.warnSeldom("a call was refused because there is no memory for it", "subject", m.Subject,
			"source_id", redact.Short{Text: c.from, Limit: maxLoggedSubject}, "error", noRoom)
		c.refuse(false)
		return
	}
	switch s.places.take(c, now) {
	case placeRunning:
		s.mu.Unlock()
		c.start()
	case placeWaiting:
		s.mu.Unlock()
	default:
		full := s.refusing >= s.opts.MaxWaiting
		if !full {
			s.refusing++
		}
		s.refusals.add(c.from, now)
		s.mu.Unlock()
		s.counts.refused.Add(1)
		s.warnSeldom("a call was refused because too many are running", "subject", m.Subject,
			"source_id", redact.Short{Text: c.from, Limit: maxLoggedSubject}, "running", s.opts.MaxCalls, "waiting", s.opts.MaxWaiting)
		c.refuse(!full)
	}
}

// maxSource bounds what is kept of the name of a caller, which it chooses itself. No link has one that is longer.
const maxSource = 512

// await gives the place of a running call to others while its caller has to send something.
func (s *Server) await(c *call) {
	s.mu.Lock()
	if c.complete.Load() {
		s.mu.Unlock()
		return
	}
	displaced := s.places.await(c)
	if displaced != nil {
		s.refusals.add(displaced.from, time.Now())
	}
	next := s.places.next()
	s.mu.Unlock()
	if displaced != nil {
		s.counts.refused.Add(1)
		displaced.abandon("a call was given up: too many callers have not sent all of their parameters", errDisplaced)
	}
	for _, n := range next {
		n.start()
	}
}

// resume takes note that all has come that the call waited for.
func (s *Server) resume(c *call) {
	s.mu.Lock()
	s.places.resume(c)
	s.mu.Unlock()
}

// maxIdleWorkers is how many goroutines wait for calls at most. One that has run a call has the stack that the next one
// needs, which otherwise grows anew with each.
const maxIdleWorkers = 64

// begin runs the handler of a call in a goroutine.
func (s *Server) begin(c *call) {
	select {
	case s.nextCall <- c:
	default:
		s.work.Go(func() { s.serve(c) })
	}
}

// serve runs the handler of one call after another.
func (s *Server) serve(c *call) {
	for {
		c.run()
		c = nil //nolint:wastedassign // it may be large, and the wait for the next long
		if s.idleWorkers.Add(1) > maxIdleWorkers {
			s.idleWorkers.Add(-1)
			return
		}
		select {
		case c = <-s.nextCall:
			s.idleWorkers.Add(-1)
		case <-s.ctx.Done():
			s.idleWorkers.Add(-1)
			return
		}
	}
}

// leave gives the place of a call that has ended to those that wait.
func (s *Server) leave(c *call) {
	s.mu.Lock()
	if c.refused {
		s.refusing--
	} else {
		s.places.leave(c)
	}
	next := s.places.next()
	s.signalIdle()
	s.mu.Unlock()
	for _, n := range next {
		n.start()
	}
}

// signalIdle must be called with mu held.
func (s *Server) signalIdle() {
	if s.drained && !s.stopped && s.places.running+s.places.awaited+s.places.waiting == 0 && s.refusing == 0 {
		s.stopped = true
		close(s.idle)
	}
}

// warnSeldom logs what a peer did, once a second at most.
func (s *Server) warnSeldom(text string, args ...any) {
	s.noise.Do(func() { s.opts.Logger.Warn(text, args...) })
}

// failed counts and logs a call whose handler has returned an error.
func (s *Server) failed(subject string, err error) {
	s.counts.failed.Add(1)
	const text = "a call ended without a value"
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		s.opts.Logger.Error(text, "subject", subject, "error", err, "stack", string(panicked.stack))
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTooLarge), errors.Is(err, ErrIncomplete):
		s.warnSeldom(text, "subject", subject, "error", err) // the caller's doing
	default:
		s.opts.Logger.Warn(text, "subject", subject, "error", err)
	}
}

// publish sends a message of a call. Where it cannot be sent, the caller loses it and nothing can be mended here; the
// caller ends its call itself when its connection or its patience ends.
func (s *Server) publish(subject, reply string, data []byte) bool {
	err := s.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: data})
	if err != nil {
		s.warnSeldom("answering a call failed", "error", err)
	}
	return err == nil
}

// maxLoggedSubject bounds what of a peer's subject gets into the log.
const maxLoggedSubject = 100
