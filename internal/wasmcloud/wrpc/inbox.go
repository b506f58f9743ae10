package wrpc

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// tokenLen is the length of the token that tells the calls of an inbox apart: 64 random bits in hexadecimal.
const tokenLen = 16

// Limits on what waits for a subscription's callback. The callbacks only hand messages on, so a backlog means that
// the process gets no time to run; nats.go then drops messages, which is logged.
const (
	pendingMessages = 256 << 10
	backlogBytes    = 64 << 20
)

// receiver is a call that takes messages of an inbox. deliver is called by the subscription's one goroutine and must
// not block.
type receiver interface {
	deliver(suffix string, m *nats.Msg)
}

// inbox demultiplexes one wildcard subscription to all calls of a client or server, so that a call costs no
// subscription of its own. The subject of a call is "{prefix}{token}", followed by a suffix such as ".results".
type inbox struct {
	prefix string // with the dot before the token
	// stray gets accepts (messages without suffix) of calls that are no longer, or never were, here.
	stray func(*nats.Msg)
	watch *watch

	mu    sync.Mutex
	calls map[uint64]receiver
}

// newInbox makes an inbox that is still to be opened. Its name is random, under the connection's own inbox prefix.
func newInbox(nc *nats.Conn, stray func(*nats.Msg)) *inbox {
	return &inbox{prefix: nc.NewInbox() + ".", stray: stray, calls: make(map[uint64]receiver)}
}

// open subscribes.
func (in *inbox) open(nc *nats.Conn, backlog int, log *slog.Logger) error {
	sub, err := nc.Subscribe(in.wildcard(), in.dispatch)
	if err != nil {
		return fmt.Errorf("subscribing to the inbox: %w", err)
	}
	in.watch, err = watchSubscription(sub, backlog, log)
	return err
}

// wildcard is the subject that is subscribed to.
func (in *inbox) wildcard() string { return in.prefix + ">" }

// add registers r under a fresh token and returns the token and its subject.
func (in *inbox) add(r receiver) (uint64, string) {
	in.mu.Lock()
	token := rand.Uint64()
	for in.calls[token] != nil {
		token = rand.Uint64()
	}
	in.calls[token] = r
	in.mu.Unlock()
	return token, in.subject(token)
}

func (in *inbox) subjectLen() int { return len(in.prefix) + tokenLen }

func (in *inbox) subject(token uint64) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 128)
	b = append(b, in.prefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[token>>shift&0xf])
	}
	return string(b)
}

func (in *inbox) remove(token uint64) {
	in.mu.Lock()
	delete(in.calls, token)
	in.mu.Unlock()
}

// all returns the calls of this moment.
func (in *inbox) all() []receiver {
	in.mu.Lock()
	defer in.mu.Unlock()
	list := make([]receiver, 0, len(in.calls))
	for _, r := range in.calls {
		list = append(list, r)
	}
	return list
}

// dispatch is the subscription's callback.
func (in *inbox) dispatch(m *nats.Msg) {
	token, suffix, ok := in.split(m.Subject)
	if !ok {
		return
	}
	in.mu.Lock()
	r := in.calls[token]
	in.mu.Unlock()
	switch {
	case r != nil:
		r.deliver(suffix, m)
	case suffix == "" && in.stray != nil:
		in.stray(m)
	}
}

// split takes a subject apart into the token and what follows it. Tokens are lower case only, so that each has one
// spelling.
func (in *inbox) split(subject string) (token uint64, suffix string, ok bool) {
	rest, ok := strings.CutPrefix(subject, in.prefix)
	if !ok || len(rest) < tokenLen {
		return 0, "", false
	}
	for i := range tokenLen {
		switch c := rest[i]; {
		case '0' <= c && c <= '9':
			token = token<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			token = token<<4 | uint64(c-'a'+10)
		default:
			return 0, "", false
		}
	}
	return token, rest[tokenLen:], true
}

// close unsubscribes and waits for the watcher. Messages that still wait for the callback are dropped.
func (in *inbox) close() { in.watch.close() }

// watch is a subscription with bounded backlog whose drops get into the log.
type watch struct {
	sub  *nats.Subscription
	quit chan struct{}
	done chan struct{}
}

// watchSubscription bounds the subscription's backlog and starts the goroutine that logs drops, which close ends.
func watchSubscription(sub *nats.Subscription, backlog int, log *slog.Logger) (*watch, error) {
	if err := sub.SetPendingLimits(pendingMessages, backlog); err != nil {
		return nil, fmt.Errorf("bounding the backlog of %s: %w", sub.Subject, err)
	}
	w := &watch{sub: sub, quit: make(chan struct{}), done: make(chan struct{})}
	slow := sub.StatusChanged(nats.SubscriptionSlowConsumer)
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.quit:
				return
			case _, open := <-slow:
				if !open {
					return
				}
				dropped, err := sub.Dropped()
				if err != nil {
					continue // closed in the meantime
				}
				log.Error("messages dropped because they came faster than they could be taken: calls were lost",
					"subject", sub.Subject, "dropped", dropped)
			}
		}
	}()
	return w, nil
}

func (w *watch) close() {
	// The one error is that the connection or the subscription has been closed before, which is the aim.
	_ = w.sub.Unsubscribe()
	close(w.quit)
	<-w.done
}
