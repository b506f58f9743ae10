package natsconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// AwayError says that there is no connection, so that nobody has taken what was sent, or nobody can answer.
type AwayError struct{ err error }

func (e *AwayError) Error() string { return "there is no connection to NATS: " + e.err.Error() }

func (e *AwayError) Unwrap() error { return e.err }

// RefusedError says that the server does not allow the user a subject.
type RefusedError struct {
	Subject string
	// Deaf tells that it is the subject of answers.
	Deaf bool
}

func (e *RefusedError) Error() string {
	if e.Deaf {
		return "the user of nats_url may not subscribe to _INBOX.>, where answers come in"
	}
	return "the user of nats_url may not publish on " + e.Subject
}

// ErrSilent is the error of a request of which nothing was heard for as long as there was patience.
var ErrSilent = errors.New("no answer")

// ErrNoResponders is the error of a message that nobody subscribes to.
var ErrNoResponders = nats.ErrNoResponders

// waiter is a message that something may be heard of.
type waiter struct {
	subject string
	// alive tells of messages that they are signs of life, and no answer. It may be nil.
	alive func([]byte) bool

	answer chan *nats.Msg // the first
	life   chan struct{}  // a sign of it
	failed chan error     // the first
}

func newWaiter(subject string, alive func([]byte) bool) *waiter {
	return &waiter{
		subject: subject, alive: alive, answer: make(chan *nats.Msg, 1), life: make(chan struct{}, 1), failed: make(chan error, 1),
	}
}

func (w *waiter) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// take takes a message to the reply subject. Those behind the first answer say nothing.
func (w *waiter) take(m *nats.Msg) {
	if w.alive != nil && w.alive(m.Data) {
		select {
		case w.life <- struct{}{}:
		default:
		}
		return
	}
	select {
	case w.answer <- m:
	default:
	}
}

// wait waits for the answer until ctx ends, or nothing was heard for as long as patience lasts, unless that is 0.
func (w *waiter) wait(ctx context.Context, patience time.Duration) (*nats.Msg, error) {
	var over <-chan time.Time
	var timer *time.Timer
	if patience > 0 {
		timer = time.NewTimer(patience)
		defer timer.Stop()
		over = timer.C
	}
	for {
		select {
		case m := <-w.answer:
			return m, nil
		case <-w.life:
			if timer != nil {
				timer.Reset(patience)
			}
		case err := <-w.failed:
			return nil, err
		case <-over:
			return nil, fmt.Errorf("%w within %s", ErrSilent, patience)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// deliver gives a message to the request that waits for it. Those that nobody waits for any more are late.
func (c *Conn) deliver(m *nats.Msg) {
	token, _ := strings.CutPrefix(m.Subject, c.inbox)
	c.mu.Lock()
	w := c.waiting[token]
	c.mu.Unlock()
	if w != nil {
		w.take(m)
	}
}

// send publishes a message of which something may be heard until forget is called: with an answer, a reply subject is
// put into it.
func (c *Conn) send(m *nats.Msg, w *waiter, answered bool) (nc *nats.Conn, forget func(), err error) {
	token := nuid.Next()
	forget = func() {
		c.mu.Lock()
		delete(c.waiting, token)
		c.mu.Unlock()
	}
	c.mu.Lock()
	nc, err = c.connected()
	deaf, at := answered && c.refused[c.inbox+"*"], c.denied[m.Subject]
	if err == nil {
		c.waiting[token] = w
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		return nil, forget, err
	case deaf || time.Since(at) < deniedFor:
		return nil, forget, &RefusedError{Subject: m.Subject, Deaf: deaf}
	}
	if answered {
		m.Reply = c.inbox + token
	}
	return nc, forget, sendError(nc.PublishMsg(m))
}

// Request sends a message and returns the first answer to it. alive tells which messages are none, but begin patience
// anew; it may be nil, and patience 0 for none but that of ctx. The error is [ErrNoResponders] where nobody
// subscribes, [AwayError], [RefusedError], [ErrSilent], that of ctx, or one of nats.go about the message itself.
func (c *Conn) Request(ctx context.Context, m *nats.Msg, patience time.Duration, alive func([]byte) bool) (*nats.Msg, error) {
	w := newWaiter(m.Subject, alive)
	_, forget, err := c.send(m, w, true)
	defer forget()
	if err != nil {
		return nil, err
	}
	answer, err := w.wait(ctx, patience)
	if err == nil && isNoResponders(answer) {
		return nil, ErrNoResponders
	}
	return answer, err
}

// Ask sends a message that is answered at its reply subject, to a subscription of the caller. Until forget is called,
// failed has why no answer comes: [AwayError] or [RefusedError].
func (c *Conn) Ask(m *nats.Msg) (failed <-chan error, forget func(), err error) {
	w := newWaiter(m.Subject, nil)
	_, forget, err = c.send(m, w, false)
	return w.failed, forget, err
}

// isNoResponders tells whether a message is the server's word that nobody subscribes.
func isNoResponders(m *nats.Msg) bool {
	const statusHeader, noResponders = "Status", "503"
	return len(m.Data) == 0 && m.Header.Get(statusHeader) == noResponders
}

// flushTimeout bounds the wait for a server's word that it has what was sent, which it gives at once.
const flushTimeout = 10 * time.Second

// Publish sends a message and returns when the server has it. Errors are as those of [Conn.Request].
func (c *Conn) Publish(ctx context.Context, m *nats.Msg) error {
	w := newWaiter(m.Subject, nil)
	nc, forget, err := c.send(m, w, false)
	defer forget()
	if err != nil {
		return err
	}
	flushing, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := nc.FlushWithContext(flushing); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &AwayError{err}
	}
	// A refusal comes before the answer to the flush, and is known by now or a moment later: the next publish is held.
	select {
	case err := <-w.failed:
		return err
	default:
		return nil
	}
}

// sendError sorts an error of a publish: those of the connection from those of the message.
func sendError(err error) error {
	for _, of := range []error{
		nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrConnectionReconnecting,
		nats.ErrDisconnected,
	} {
		if errors.Is(err, of) {
			return &AwayError{err}
		}
	}
	return err
}

// IsTooLarge tells whether an error says that a message is larger than the server takes any.
func IsTooLarge(err error) bool { return errors.Is(err, nats.ErrMaxPayload) }

// MaxPayload is the size of the largest message that the server takes, 0 where that is not known.
func (c *Conn) MaxPayload() int64 {
	c.mu.Lock()
	nc, err := c.connected()
	c.mu.Unlock()
	if err != nil {
		return 0
	}
	return nc.MaxPayload()
}
