package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/nats/refusal"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Conn is a connection that routes share. Its methods may be called by many goroutines at once.
type Conn struct {
	pool   *Pool
	server settings.NATSServer
	log    *slog.Logger
	inbox  string // of all requests, with the dot at its end
	users  int    // Pool.mu protects it

	// stop ends the attempts to connect for the first time, done is closed when there are none any more.
	stop context.CancelFunc
	done chan struct{}
	// closed is closed when the connection is and its callbacks have returned.
	closed chan struct{}

	mu      sync.Mutex
	nc      *nats.Conn // nil until it has been made
	ending  bool
	away    error // why there is no connection; nil while there is one
	told    string
	since   time.Time
	waiting map[string]*waiter // by the last token of the reply subject
	// refused are subscriptions that the server does not allow, denied the subjects of publishes, with the time.
	refused map[string]bool
	denied  map[string]time.Time
	// mute says that the server does not let requests be answered, answered is the last answer that was not found to be
	// refused or not.
	mute     bool
	answered sent
	// wanted are the subscriptions that there are to be.
	wanted map[*Subscription]bool
	// noted are problems that users of the connection have found.
	noted map[any]status.Problem
}

// errConnecting is why there is no connection at first.
var errConnecting = errors.New("no attempt to connect has ended yet")

// begin begins a connection.
func (p *Pool) begin(server settings.NATSServer) *Conn {
	ctx, stop := context.WithCancel(context.Background())
	c := &Conn{
		pool: p, server: server, log: p.log.With("url", server.URLs), inbox: nats.NewInbox() + ".", stop: stop,
		done: make(chan struct{}), closed: make(chan struct{}), away: errConnecting, since: time.Now(),
		waiting: make(map[string]*waiter), refused: make(map[string]bool), denied: make(map[string]time.Time),
		wanted: make(map[*Subscription]bool), noted: make(map[any]status.Problem),
	}
	go c.connect(ctx)
	return c
}

// connecting is the wait before something is tried again that nats.go does not try by itself.
var connecting = backoff.Backoff{First: 250 * time.Millisecond, Most: 10 * time.Second}

// connect makes the connection. nats.go goes on trying by itself where servers are out of reach or refuse us; what it
// gives up for, such as a file that cannot be read, is tried again here.
func (c *Conn) connect(ctx context.Context) {
	defer close(c.done)
	for failures := 1; ; failures++ {
		nc, err := c.dial()
		if err == nil {
			c.made(nc)
			return
		}
		c.lost(err)
		if !backoff.Sleep(ctx, connecting.Spread(failures)) {
			return
		}
	}
}

func (c *Conn) dial() (*nats.Conn, error) {
	options, err := optionsOf(&c.server, c.log)
	if err != nil {
		return nil, err
	}
	return nats.Connect(c.server.URLs, append(options,
		nats.Name("messaging-kafka bridge "+c.pool.name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		// A server that refuses us twice may accept us later, when its operator has put right what was wrong.
		nats.IgnoreAuthErrorAbort(),
		// Nothing is kept for later while disconnected: its record is held, and would be sent twice.
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(drainTimeout),
		nats.ConnectHandler(c.back),
		nats.ReconnectHandler(c.back),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.lost(err) }),
		nats.ErrorHandler(c.onError),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	)...)
}

// Bounds of what a subscription holds that nobody has taken yet.
const (
	pendingMessages = 16_384
	pendingBytes    = 32 << 20
)

// made takes the connection, which need not stand yet, and makes its subscriptions: nats.go makes them again at every
// server that it comes to.
func (c *Conn) made(nc *nats.Conn) {
	replies, err := nc.Subscribe(c.inbox+"*", c.deliver)
	if err == nil {
		err = replies.SetPendingLimits(pendingMessages, pendingBytes)
	}
	if err != nil {
		c.log.Error("answers on NATS cannot be taken", "error", err)
	}
	c.mu.Lock()
	c.nc = nc
	for s := range c.wanted {
		s.begin()
	}
	c.mu.Unlock()
	if nc.IsConnected() {
		c.back(nc) // the handler may have run before the connection was taken
	}
}

// back notes that there is a connection, once it has been taken: before that nothing can be sent by it.
func (c *Conn) back(nc *nats.Conn) {
	c.mu.Lock()
	if c.nc == nil {
		c.mu.Unlock()
		return
	}
	was := c.away
	c.away, c.told = nil, ""
	clear(c.refused) // what is refused still is told of anew
	clear(c.denied)
	c.mute, c.answered = false, sent{}
	c.mu.Unlock()
	if was != nil {
		c.log.Info("connected to NATS", "address", nc.ConnectedAddr())
	}
}

func (c *Conn) disconnected(_ *nats.Conn, err error) {
	c.mu.Lock()
	ending := c.ending
	c.mu.Unlock()
	if ending {
		return
	}
	if err == nil {
		err = nats.ErrDisconnected
	}
	c.lost(err)
}

// lost notes why there is no connection. What waits for an answer gets none: it would come by the connection that is
// gone.
func (c *Conn) lost(err error) {
	err = explained(&c.server, err)
	c.mu.Lock()
	if c.away == nil {
		c.since = time.Now()
	}
	c.away = err
	level := slog.LevelDebug
	if c.told != err.Error() {
		level = slog.LevelWarn
	}
	c.told = err.Error()
	for _, w := range c.waiting {
		w.fail(&AwayError{err})
	}
	c.mu.Unlock()
	c.log.Log(context.Background(), level, "no connection to NATS, trying again", "error", err)
}

// onError is called with what the server says of single publishes and subscriptions.
func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if r, ok := refusal.Of(err); ok {
		c.onRefusal(r)
		return
	}
	if sub != nil && errors.Is(err, nats.ErrSlowConsumer) {
		c.log.Warn("messages of NATS were dropped: they came faster than they were taken", "subject", sub.Subject)
		return
	}
	if isAboutCredentials(err) {
		c.lost(err) // nothing else tells of an attempt that ended so
		return
	}
	c.log.Warn("an error of NATS", "error", err)
}

func (c *Conn) onRefusal(r refusal.Refusal) {
	c.mu.Lock()
	_, known := c.denied[r.Subject]
	switch {
	case r.Subscription:
		known = c.refused[r.Subject]
		c.refused[r.Subject] = true
	case r.Subject == c.answered.on || strings.HasPrefix(r.Subject, inboxes) && !c.isWaited(r.Subject):
		known = c.mute
		c.mute = true
		if r.Subject == c.answered.on {
			c.answered = sent{}
		}
		r.Subject = inboxes + ">" // each answer has a subject of its own
	default:
		if len(c.denied) == maxDenied {
			clear(c.denied)
		}
		c.denied[r.Subject] = time.Now()
		for _, w := range c.waiting {
			if w.subject == r.Subject {
				w.fail(&RefusedError{Subject: r.Subject})
			}
		}
	}
	c.mu.Unlock()
	if !known {
		c.log.Warn("the NATS server does not allow a subject", "subject", r.Subject)
	}
}

// inboxes begins the subjects of answers.
const inboxes = nats.InboxPrefix

// isWaited tells whether something is to be heard of a message on a subject. c.mu is held.
func (c *Conn) isWaited(subject string) bool {
	for _, w := range c.waiting {
		if w.subject == subject {
			return true
		}
	}
	return false
}

// For so long a subject is not tried again that the server did not allow, and so many of them are kept.
const (
	deniedFor = 5 * time.Second
	maxDenied = 1024
)

// Note has health tell of a problem that a user of the connection has found, in place of the one before of the same
// user; an empty text takes that back.
func (c *Conn) Note(user any, kind status.ProblemKind, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == "" {
		delete(c.noted, user)
		return
	}
	c.noted[user] = status.Problem{Kind: kind, Text: text}
}

// problems are what is wrong with the connection and by it. While there is none, that says all.
func (c *Conn) problems() status.Problems {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list status.Problems
	if c.away != nil {
		list.Add(status.ProblemNATS, fmt.Sprintf("NATS %s: no connection since %s: %v", c.server.URLs, c.since.UTC().Format(time.RFC3339), c.away))
		return list
	}
	for _, subject := range slices.Sorted(maps.Keys(c.refused)) {
		if subject == c.inbox+"*" {
			subject = "_INBOX.>, where answers come in"
		}
		list.Add(status.ProblemNATS, fmt.Sprintf("NATS %s: the user may not subscribe to %s", c.server.URLs, subject))
	}
	if c.judge(); c.mute {
		list.Add(status.ProblemNATS, fmt.Sprintf("NATS %s: the user may not publish on %s>, so that requests get no answers", c.server.URLs, inboxes))
	}
	noted := slices.SortedFunc(maps.Values(c.noted), func(a, b status.Problem) int { return strings.Compare(a.Text, b.Text) })
	for _, p := range noted {
		list.Add(p.Kind, p.Text)
	}
	return list
}

// drainTimeout bounds the end of a connection.
const drainTimeout = 2 * time.Second

// Release gives the connection back. The last one drains it and waits for that, for a bounded time.
func (c *Conn) Release() {
	if !c.pool.leave(c) {
		return
	}
	c.stop()
	<-c.done
	c.mu.Lock()
	c.ending = true
	nc := c.nc
	c.mu.Unlock()
	if nc == nil {
		return
	}
	if err := nc.Drain(); err != nil {
		nc.Close() // there is no connection at the moment, so that nothing is under way
	}
	timer := time.NewTimer(drainTimeout + time.Second)
	defer timer.Stop()
	select {
	case <-c.closed:
	case <-timer.C:
		nc.Close()
		<-c.closed
	}
}

// connected returns the connection, or why there is none. c.mu is held.
func (c *Conn) connected() (*nats.Conn, error) {
	switch {
	case c.away != nil:
		return nil, &AwayError{c.away}
	case c.nc == nil:
		return nil, &AwayError{errConnecting}
	default:
		return c.nc, nil
	}
}
