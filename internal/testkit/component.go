package testkit

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

var (
	// ErrTrap is a trap: a handler that returns it ends its call as a trapped guest does, its results end without a
	// value; a publish or request that returns it would trap the guest.
	ErrTrap = errors.New("the results ended without a value")
	// ErrHang makes a handler never answer its call, which stays open until the component is stopped.
	ErrHang = errors.New("the call is left open")
	// ErrNoProvider says that nobody serves a publish or request.
	ErrNoProvider = errors.New("no provider serves the call")
)

// ResultError is a result::err that the provider gave to a publish or request.
type ResultError struct{ Text string }

func (e *ResultError) Error() string { return e.Text }

// HandlerFunc is a stand-in component's handle-message: nil is result::ok, [ErrTrap] and [ErrHang] do what they say,
// every other error is result::err with the error's text. It runs on a goroutine of its own. ctx ends when the
// component stops; calls made with it are in the trace of the call, as a host that traces has it.
type HandlerFunc func(ctx context.Context, c *Component, call Call) error

// Call is one call of handle-message.
type Call struct {
	Message
	// Header is the NATS header of the invocation; keys are case-sensitive.
	Header nats.Header
	// Reply is the invocation's reply subject, below an inbox of the caller's connection: it tells apart callers that
	// share an id.
	Reply string
}

// Echo is the handler of the echo component: it publishes the body to the reply-to, where there is one.
func Echo(ctx context.Context, c *Component, call Call) error {
	if call.ReplyTo == nil {
		return nil
	}
	return c.Publish(ctx, Message{Subject: *call.ReplyTo, Body: call.Body})
}

// ComponentOptions describe a stand-in component.
type ComponentOptions struct {
	Lattice string // default "default"
	ID      string // default "echo"
	// Provider is the key of the provider that its imports go to, default "kafka".
	Provider string
	// Count is how many calls run at once, default 100. Further calls wait, as they do in a host.
	Count int
	// Handler is called for each message, default [Echo].
	Handler HandlerFunc
	// LoseAccepts is how many accepts of each of its own calls (publish, request) the component loses, as a host does
	// that has not registered its inbox yet when the accept arrives.
	LoseAccepts int
	// HoldParams, if positive, makes publishes and requests send at most so many bytes with the invocation and the
	// rest afterwards; 0 sends what fits.
	HoldParams int
}

// Component stands in for a Wasm component and the host it runs in. It is the provider's peer on the wire: it serves
// handle-message and calls publish and request. All methods may be called from any goroutine.
type Component struct {
	t    testing.TB
	nc   *nats.Conn
	opts ComponentOptions

	slots chan struct{}
	calls atomic.Int64
	busy  atomic.Int64

	mu      sync.Mutex
	sub     *nats.Subscription // nil while stopped
	inbox   *nats.Subscription // what a host serves a component's calls by; it lives as long as sub
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewComponent starts a stand-in component on a connection of its own and stops it when the test ends.
func NewComponent(t testing.TB, ns *NATSServer, opts ComponentOptions) *Component {
	t.Helper()
	opts.Lattice = cmp.Or(opts.Lattice, "default")
	opts.ID = cmp.Or(opts.ID, "echo")
	opts.Provider = cmp.Or(opts.Provider, "kafka")
	opts.Count = cmp.Or(opts.Count, 100)
	if opts.Handler == nil {
		opts.Handler = Echo
	}
	c := &Component{t: t, nc: ns.Connect(), opts: opts, slots: make(chan struct{}, opts.Count)}
	c.Start()
	t.Cleanup(c.Stop)
	return c
}

// ID is the component's id.
func (c *Component) ID() string { return c.opts.ID }

// Calls is the number of calls of handle-message that have begun.
func (c *Component) Calls() int { return int(c.calls.Load()) }

// InFlight is the number of calls of handle-message that are running.
func (c *Component) InFlight() int { return int(c.busy.Load()) }

// Start takes calls again after [Component.Stop]: scaled up from 0.
func (c *Component) Start() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sub != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	root := nats.NewInbox() + "."
	inbox, err := c.nc.Subscribe(root+">", func(*nats.Msg) {})
	var sub *nats.Subscription
	if err == nil {
		subject := wrpcSubject(c.opts.Lattice, c.opts.ID, handleMessage)
		sub, err = c.nc.QueueSubscribe(subject, c.opts.Lattice+"."+c.opts.ID, func(m *nats.Msg) { c.accept(ctx, root, m) })
	}
	if err == nil {
		err = c.nc.FlushTimeout(DefaultTimeout)
	}
	if err != nil {
		cancel()
		c.t.Fatalf("subscribing component %s: %v", c.opts.ID, err)
	}
	c.sub, c.inbox, c.cancel = sub, inbox, cancel
}

// Stop takes no more calls, so that callers get a 503, and gives up the running ones without an answer, as a host
// does that scales to 0 while calls run. It waits until their handlers have returned.
func (c *Component) Stop() {
	c.mu.Lock()
	sub, inbox, cancel := c.sub, c.inbox, c.cancel
	c.sub = nil
	c.mu.Unlock()
	if sub == nil {
		return
	}
	// They fail only on a connection that is closed or away: then no call comes either.
	_ = sub.Unsubscribe()
	_ = inbox.Unsubscribe()
	_ = c.nc.FlushTimeout(time.Second)
	c.mu.Lock() // a call that is being accepted is counted before, or not at all
	cancel()
	c.mu.Unlock()
	c.running.Wait()
}

// accept is called by the subscription's one goroutine and does there what a host does in its accept loop: it accepts,
// reads the params, and waits for a free slot. Params that stay incomplete thus hold up all other calls, and of the
// calls beyond Count one is accepted before its turn.
func (c *Component) accept(ctx context.Context, root string, m *nats.Msg) {
	msg, err := c.receive(ctx, root+nuid.Next(), m)
	if err != nil {
		if ctx.Err() == nil {
			c.t.Errorf("component %s: taking a call of handle-message: %v", c.opts.ID, err)
			_ = c.nc.Publish(m.Reply+".results", nil) // as a host does; the error above counts
		}
		return
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		<-c.slots
		return
	}
	c.running.Go(func() {
		defer func() { <-c.slots }()
		if err := c.serve(ctx, m, msg); err != nil && ctx.Err() == nil {
			c.t.Errorf("component %s: answering handle-message: %v", c.opts.ID, err)
		}
	})
}

// receive accepts a call with the reply subject inbox and reads its params.
func (c *Component) receive(ctx context.Context, inbox string, m *nats.Msg) (Message, error) {
	params, err := c.nc.SubscribeSync(inbox + ".params")
	if err != nil {
		return Message{}, fmt.Errorf("subscribing to the params: %w", err)
	}
	defer params.Unsubscribe()
	if err := params.SetPendingLimits(-1, -1); err != nil {
		return Message{}, err
	}
	if err := c.nc.PublishRequest(m.Reply, inbox, nil); err != nil {
		return Message{}, fmt.Errorf("accepting: %w", err)
	}
	buf := m.Data
	for {
		r := wireReader{b: buf}
		msg := r.message()
		if err := r.end(); !errors.Is(err, errShort) {
			return msg, err
		}
		next, err := params.NextMsgWithContext(ctx)
		if err != nil {
			return Message{}, fmt.Errorf("waiting for the rest of the params: %w", err)
		}
		if len(next.Data) == 0 {
			return Message{}, errors.New("the params end within the message")
		}
		buf = append(slices.Clip(buf), next.Data...)
	}
}

func (c *Component) serve(ctx context.Context, m *nats.Msg, msg Message) error {
	results := m.Reply + ".results"
	c.calls.Add(1)
	c.busy.Add(1)
	err := c.opts.Handler(withTrace(ctx, m.Header), c, Call{Message: msg, Header: m.Header, Reply: m.Reply})
	c.busy.Add(-1)

	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrHang):
		<-ctx.Done()
		return ctx.Err()
	case errors.Is(err, ErrTrap):
		return c.nc.Publish(results, nil)
	case err != nil:
		return sendChunks(c.nc, results, appendBytes([]byte{1}, err.Error()))
	default:
		return sendChunks(c.nc, results, []byte{0})
	}
}

// Publish calls consumer.publish over the link "default". A result::err is a [*ResultError].
func (c *Component) Publish(ctx context.Context, msg Message) error {
	return c.PublishOn(ctx, "default", msg)
}

// PublishOn calls consumer.publish over the named link.
func (c *Component) PublishOn(ctx context.Context, linkName string, msg Message) error {
	r, err := c.invoke(ctx, linkName, publishFunction, appendMessage(nil, msg), func(*wireReader) {})
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", msg.Subject, err)
	}
	return r
}

// Request calls consumer.request over the link "default". A result::err is a [*ResultError].
func (c *Component) Request(ctx context.Context, subject string, body []byte, timeout time.Duration) (Message, error) {
	return c.RequestOn(ctx, "default", subject, body, timeout)
}

// RequestOn calls consumer.request over the named link. The timeout goes to the provider in whole milliseconds; ctx
// bounds the wait here.
func (c *Component) RequestOn(ctx context.Context, linkName, subject string, body []byte,
	timeout time.Duration) (Message, error) {
	params := appendBytes(appendBytes(nil, subject), body)
	params = binary.AppendUvarint(params, uint64(timeout.Milliseconds()))
	var answer Message
	r, err := c.invoke(ctx, linkName, requestFunction, params, func(r *wireReader) { answer = r.message() })
	if err != nil {
		return Message{}, fmt.Errorf("requesting from %s: %w", subject, err)
	}
	if r != nil {
		return Message{}, r
	}
	return answer, nil
}

// invoke makes one call in the order of a Rust host: it takes the accept first, ends the params, then reads results.
// result is the result::err, if that is what came.
func (c *Component) invoke(ctx context.Context, linkName, function string, params []byte,
	ok func(*wireReader)) (result, err error) {
	root := nats.NewInbox()
	reply := root + ".call"
	// One wildcard subscription for each call, as a host makes it.
	sub, err := c.nc.SubscribeSync(root + ".>")
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	// nats.go would drop what a large result has too much of, which is not what is being tested.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}

	m := &nats.Msg{
		Subject: wrpcSubject(c.opts.Lattice, c.opts.Provider, function),
		Reply:   reply,
		Header:  nats.Header{"source-id": {c.opts.ID}, "link-name": {linkName}},
	}
	addTrace(ctx, m.Header)
	first := min(len(params), int(c.nc.MaxPayload())-headerRoom(m.Header))
	if c.opts.HoldParams > 0 {
		first = min(first, c.opts.HoldParams)
	}
	m.Data = params[:first]
	if err := c.nc.PublishMsg(m); err != nil {
		return nil, err
	}

	var peer string
	var buf []byte
	ended := false
	lose := c.opts.LoseAccepts
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, ErrNoProvider
		}
		if err != nil {
			return nil, err
		}
		switch {
		case m.Subject == reply && lose > 0:
			lose--
		case m.Subject == reply && peer == "":
			if peer = m.Reply; peer == "" {
				return nil, errors.New("the accept names no subject for the params")
			}
			if err := sendChunks(c.nc, peer+".params", params[first:]); err != nil {
				return nil, err
			}
		case m.Subject == reply: // the accept again
		case m.Subject != reply+".results":
			return nil, fmt.Errorf("a message came on the unknown channel %s", strings.TrimPrefix(m.Subject, reply))
		case len(m.Data) == 0:
			ended = true
		default:
			buf = append(buf, m.Data...)
		}
		// A Rust host looks at results only once it has the accept: a server that never repeats a lost one leaves it
		// waiting even when all results are there.
		if ended && peer != "" {
			if len(buf) == 0 {
				return nil, ErrTrap
			}
			return decodeResult(buf, ok)
		}
	}
}

func decodeResult(b []byte, ok func(*wireReader)) (result, err error) {
	r := wireReader{b: b}
	if r.flag("a result") {
		result = &ResultError{string(r.bytes())}
	} else if r.err == nil {
		ok(&r)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("reading the result: %w", err)
	}
	return result, nil
}
