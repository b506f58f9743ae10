package wrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// ClientOptions are the options of a [Client]. Zero values stand for the defaults.
type ClientOptions struct {
	// Timeout bounds calls whose context has no deadline. 10 minutes, after which hosts end a call in their default
	// setting, is the default.
	Timeout time.Duration
	// MaxResultBytes bounds the encoded results of one call. 64 MiB is the default.
	MaxResultBytes int64
	// MaxBufferedBytes bounds the results of all calls together while they are being received. 512 MiB is the
	// default.
	MaxBufferedBytes int64
	// Memory is what these bytes are taken from besides; nil is without a limit.
	Memory *memory.Account
	// BacklogBytes bounds the messages that wait to be taken. 64 MiB is the default.
	BacklogBytes int
	// PartsPause is how long a call whose parameters need several messages waits between the accept and the second
	// of them. A Rust peer may otherwise drop it (see the package documentation). 2 ms is the default; a negative
	// value means none.
	PartsPause time.Duration
	// Inboxes are the reply subjects of accepts to which the rest of parameters may go.
	Inboxes reply.Inboxes
	// CutGrace is how long a call that ended without a value waits for [Client.Interrupted], whose word comes by another
	// way than the end. 100 ms is the default; a negative value means none.
	CutGrace time.Duration
	// Refusals, if not nil, registers what is to be called with each error of the connection that says that NATS refused
	// something. NATS tells that to the connection alone, and a call that was refused would wait for its time to be over.
	Refusals func(refused func(error))
	// Logger gets what no call's error can tell. Nothing is logged without one.
	Logger *slog.Logger
}

func (o ClientOptions) withDefaults() ClientOptions {
	setDefault(&o.Timeout, 10*time.Minute)
	setDefault(&o.MaxResultBytes, 64<<20)
	setDefault(&o.MaxBufferedBytes, 512<<20)
	setDefault(&o.BacklogBytes, backlogBytes)
	setDefault(&o.PartsPause, 2*time.Millisecond)
	setDefault(&o.CutGrace, 100*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Invocation is a call of a function.
type Invocation struct {
	// Target is "{lattice}.{id}" of the component that is called.
	Target string
	// Instance is the interface with its version, such as "wasmcloud:messaging/handler@0.2.0", and Function the
	// name of the function in it.
	Instance, Function string
	// Header goes with the first message. It is not changed.
	Header nats.Header
	// Params are the encoded parameters. They must not be changed before the call has returned.
	Params []byte
}

// Client calls functions over a NATS connection. All its calls share one subscription. It is safe for concurrent
// use.
type Client struct {
	nc   *nats.Conn
	opts ClientOptions
	in   *inbox

	results  budget
	statuses chan nats.Status
	watching sync.WaitGroup
	quit     chan struct{} // closed to end the goroutine that looks after peers
	peers    peers
	cuts     interruptions
	made     atomic.Uint64 // calls

	mu     sync.Mutex
	closed bool
	active int
	idle   chan struct{} // closed when closed is set and active is 0
}

// NewClient subscribes to the client's inbox. nc stays the caller's; its handlers are not touched. [Client.Close]
// must be called in the end.
func NewClient(nc *nats.Conn, opts ClientOptions) (*Client, error) {
	c := &Client{nc: nc, opts: opts.withDefaults(), idle: make(chan struct{}), quit: make(chan struct{})}
	c.results.limit, c.results.account = c.opts.MaxBufferedBytes, c.opts.Memory
	c.in = newInbox(nc, c.closeStrayParams)
	c.peers.init()
	c.cuts.init()
	if c.opts.Refusals != nil {
		c.opts.Refusals(c.refused) // before anything that can be refused
	}
	if err := c.in.open(nc, c.opts.BacklogBytes, c.opts.Logger); err != nil {
		return nil, fmt.Errorf("opening a wRPC client: %w", err)
	}
	c.statuses = nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	c.watching.Go(func() {
		// A lost connection has lost the answers of all calls under way. A call that begins after the event but
		// before it is handled here fails with them, which its caller cannot tell from a second loss.
		for range c.statuses {
			c.failAll(ErrDisconnected)
			c.peers.forget()
		}
	})
	c.watching.Go(c.watchPeers)
	return c, nil
}

func (c *Client) failAll(err error) {
	for _, p := range c.pending() {
		p.results.close(err)
	}
}

// pending are the calls of this moment.
func (c *Client) pending() []*pending {
	var list []*pending
	for _, r := range c.in.all() {
		if p, ok := r.(*pending); ok {
			list = append(list, p)
		}
	}
	return list
}

// closeStrayParams answers an accept whose call has ended here. A host handles no other call of a component while it
// waits for the rest of parameters, so it must be told that none will come.
func (c *Client) closeStrayParams(m *nats.Msg) {
	if c.opts.Inboxes.Answer(m.Reply) {
		c.closeParams(m.Reply)
	}
}

func (c *Client) closeParams(peer string) {
	if err := c.nc.Publish(peer+paramsSuffix, nil); err != nil {
		c.opts.Logger.Warn("closing the parameters of a wRPC call failed", "error", err)
	}
}

// Close refuses further calls, waits for those under way until ctx ends, and then fails the rest with [ErrClosed].
// It returns ctx's error where it did.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	if c.active == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
	var err error
	select {
	case <-c.idle:
	case <-ctx.Done():
		err = fmt.Errorf("waiting for wRPC calls to end: %w", ctx.Err())
		c.failAll(ErrClosed)
		<-c.idle
	}
	c.nc.RemoveStatusListener(c.statuses)
	close(c.quit)
	c.watching.Wait()
	c.in.close()
	return err
}

func (c *Client) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.active++
	return nil
}

func (c *Client) leave() {
	c.mu.Lock()
	c.active--
	if c.closed && c.active == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
}

// Invoke calls a function and hands its results to decode while they arrive. It returns nil as soon as decode does;
// a nil decode is for functions without results. It returns soon after ctx has ended, with ctx's error wrapped; the
// peer may run the call all the same.
//
// Other errors wrap [ErrNoResponders], [ErrNotAccepted], [ErrCut], [ErrIncomplete], [ErrDisconnected], [ErrMalformed],
// [ErrTooLarge], [ErrClosed], a [StatusError], or are decode's own or NATS's. With the first two nobody has run the
// call as far as can be told, whatever else the error wraps; with ErrCut and ErrDisconnected nobody can tell.
func (c *Client) Invoke(ctx context.Context, inv Invocation, decode func(*wit.Decoder) error) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.Timeout)
		defer cancel()
	}
	if err := c.invoke(ctx, &inv, decode); err != nil {
		return fmt.Errorf("calling %s of %s on %s: %w", inv.Function, inv.Instance, inv.Target, err)
	}
	return nil
}

func (c *Client) invoke(ctx context.Context, inv *Invocation, decode func(*wit.Decoder) error) error {
	if err := ctx.Err(); err != nil {
		return notAccepted(err)
	}
	subject, err := invocationSubject(inv.Target, inv.Instance, inv.Function)
	if err != nil {
		return notAccepted(err)
	}
	payload, header := c.nc.MaxPayload(), headerBytes(inv.Header)
	if header > payload {
		return fmt.Errorf("%d bytes of headers where a message may have %d: %w", header, payload, ErrTooLarge)
	}
	// NATS does not count the reply subject; Rust callers leave room for it all the same, and so do we.
	room := max(0, payload-header-int64(c.in.subjectLen()))
	first := inv.Params[:min(int64(len(inv.Params)), room)]
	rest := inv.Params[len(first):]

	p := &pending{client: c, ctx: ctx, subject: subject, number: c.made.Add(1), single: len(rest) == 0}
	p.results.limit, p.results.shared = c.opts.MaxResultBytes, &c.results
	token, reply := c.in.add(p)
	defer p.results.release(ErrClosed)
	defer c.in.remove(token)
	// The call is registered before this check: a connection lost after it fails the call through failAll. Without
	// the check nats.go would keep the call and send it at some later time, when nobody waits for it any more.
	if !c.nc.IsConnected() {
		return ErrDisconnected
	}
	if err := c.peers.deafness(); err != nil {
		// The component would run the call, and nobody would hear its answer, each time anew.
		return notAccepted(err)
	}
	msg := nats.Msg{Subject: subject, Reply: reply, Header: inv.Header, Data: first}
	if err := c.nc.PublishMsg(&msg); err != nil {
		return notAccepted(publishError(err))
	}
	if !p.single {
		peer, err := p.awaitAccept(ctx)
		if err == nil {
			err = c.sendRest(ctx, peer, rest)
		}
		if err != nil {
			return notAccepted(err)
		}
	}
	p.dec = *wit.NewDecoder(p, c.opts.MaxResultBytes)
	if decode == nil {
		decode = expectEnd
	}
	if err := decode(&p.dec); err != nil {
		if !p.dec.Ended() {
			return fmt.Errorf("reading results: %w", err)
		}
		if !p.taken() {
			return notAccepted(err)
		}
		return fmt.Errorf("reading results: %w", c.endOf(inv.Target, p.servedBy(), err))
	}
	return nil
}

// notAccepted says of an error that the call ended with it before it was handed over. The errors that say so by
// themselves stay as they are.
func notAccepted(err error) error {
	const doing = "waiting for the component to take the call"
	if errors.Is(err, ErrNoResponders) || errors.Is(err, ErrNotAccepted) || errors.Is(err, ErrDisconnected) ||
		errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrNotAccepted, err)
}

// endOf finds out what the end of a call means that a peer had taken. target is what was called, reply the subject of
// the accept.
func (c *Client) endOf(target, reply string, err error) error {
	switch {
	case errors.Is(err, ErrIncomplete) && c.cuts.near(target, c.opts.CutGrace):
		return fmt.Errorf("%w: %w", ErrCut, err)
	case errors.Is(err, context.DeadlineExceeded):
		// No answer came, or none can come: a connection whose other end has vanished is found out by pings, which take
		// longer than a call may have.
		if lost := c.nc.FlushTimeout(confirmTimeout); lost != nil {
			return fmt.Errorf("%w: %w: %w", ErrDisconnected, lost, err)
		}
		if c.gone(reply) {
			return fmt.Errorf("%w: %w", ErrCut, err)
		}
	}
	return err
}

// confirmTimeout bounds how long NATS may take to show that the connection is there.
const confirmTimeout = 500 * time.Millisecond

// expectEnd reads the results of a function that has none.
func expectEnd(d *wit.Decoder) error {
	_, err := d.U8()
	if err == nil {
		return fmt.Errorf("results of a function without results: %w", ErrMalformed)
	}
	if errors.Is(err, ErrIncomplete) {
		return nil
	}
	return err
}

// sendRest publishes the parameters that had no room in the first message, and then their end in any case: a host
// that waits for either takes no other call of the component.
func (c *Client) sendRest(ctx context.Context, peer string, rest []byte) error {
	defer c.closeParams(peer)
	if c.opts.PartsPause > 0 {
		pause := time.NewTimer(c.opts.PartsPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("sending parameters: %w", ctx.Err())
		}
	}
	for len(rest) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("sending parameters: %w", err)
		}
		n := min(int64(len(rest)), c.nc.MaxPayload())
		if err := c.nc.Publish(peer+paramsSuffix, rest[:n]); err != nil {
			return fmt.Errorf("sending parameters: %w", publishError(err))
		}
		rest = rest[n:]
	}
	return nil
}

// publishError maps the errors of nats.go that say that there is no connection. A large message is written at once, so
// the network's own error can come before the connection has noticed its loss.
func publishError(err error) error {
	var broken *net.OpError
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.As(err, &broken) {
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return err
}

// headerBytes is the size of h on the wire, which NATS counts against the maximum payload.
func headerBytes(h nats.Header) int64 {
	if len(h) == 0 {
		return 0
	}
	n := len("NATS/1.0\r\n") + len("\r\n")
	for k, values := range h {
		for _, v := range values {
			n += len(k) + len(": ") + len(v) + len("\r\n")
		}
	}
	return int64(n)
}

// StatusError is an answer of the NATS server itself, other than "no responders".
type StatusError struct {
	// Code is the three-digit status, such as "408".
	Code string
	// Description may be empty.
	Description string
}

func (e *StatusError) Error() string {
	if e.Description == "" {
		return "NATS status " + e.Code
	}
	return "NATS status " + e.Code + " " + e.Description
}
