package natsin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options are what a listener needs.
type Options struct {
	// Route is the name of the route, for people.
	Route string
	// Conn is the connection, which the listener gives back when it has stopped.
	Conn *natsconn.Conn
	// Settings are those of the route.
	Settings settings.Link
	// Send publishes by the route.
	Send func(ctx context.Context, from route.Trace, list []record.Outgoing) []record.Result
	// Fit takes secrets out of a text that is told.
	Fit func(string) string
	// Memory is what messages that are being published take; nil is without a bound.
	Memory *memory.Account
	Log    *slog.Logger
}

// Listener takes messages until it is stopped. Its methods may be called by many goroutines at once.
type Listener struct {
	o       Options
	form    *payload.Form
	inboxes reply.Inboxes
	subs    []*natsconn.Subscription
	ctx     context.Context
	cancel  context.CancelFunc
	slots   chan struct{}
	running sync.WaitGroup

	mu   sync.Mutex
	lost trouble
}

// trouble is that messages which nobody could be told about were not stored.
type trouble struct {
	n     int
	since time.Time
	last  error
}

// maxAtOnce bounds the messages of a route that are published at once; all others wait in their order.
const maxAtOnce = 256

// Start subscribes to the subjects of a route.
func Start(o Options) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{o: o, form: payload.FormOf(&o.Settings), ctx: ctx, cancel: cancel, slots: make(chan struct{}, maxAtOnce)}
	n := &o.Settings.NATS
	for _, subject := range n.PublishSubjects {
		l.subs = append(l.subs, o.Conn.Subscribe(subject, n.Queue, func(m *nats.Msg) { l.take(subject, m) }))
	}
	return l
}

// Settle returns when the server knows of the subscriptions, or ctx has ended.
func (l *Listener) Settle(ctx context.Context) { l.o.Conn.Settle(ctx) }

// Stop takes nothing more, finishes what has come within ctx, answers it, and gives the connection back. What is not
// finished then is given up.
func (l *Listener) Stop(ctx context.Context) {
	cutOff := context.AfterFunc(ctx, l.cancel)
	var drained sync.WaitGroup
	for _, s := range l.subs {
		drained.Go(func() { s.Drain(ctx) })
	}
	drained.Wait()
	l.running.Wait() // bounded: they have l.ctx
	cutOff()
	l.cancel()
	l.o.Conn.Release()
}

// take is called with one message of a subscription after another.
func (l *Listener) take(pattern string, m *nats.Msg) {
	select {
	case l.slots <- struct{}{}:
	case <-l.ctx.Done():
		return // its sender hears nothing, as of one that came later
	}
	l.running.Go(func() {
		defer func() { <-l.slots }()
		l.answer(m, l.publish(pattern, m))
	})
}

// messageCost is what a message takes besides its bytes while it is published.
const messageCost = 1 << 10

// publish publishes the record that a message is.
func (l *Listener) publish(pattern string, m *nats.Msg) record.Result {
	cost := int64(m.Size()) + messageCost
	if l.o.Memory != nil {
		if !l.o.Memory.Take(cost) {
			return record.Result{Err: &wit.SendError{Case: wit.Unavailable, Text: "there is no memory for the message at the moment"}}
		}
		defer l.o.Memory.Give(cost)
	}
	msg := payload.Message{Subject: l.o.Settings.NATS.PublishTopic, Body: m.Data}
	if msg.Subject == "" {
		msg.Subject = topicOf(pattern, m.Subject)
	} else if _, named, is := strings.Cut(m.Subject, "?"); is && l.o.Settings.Producer.KeyFrom == settings.KeyFromSubject {
		msg.Subject += "?" + named // the topic is settled, the key is not
	}
	out, err := l.form.Outgoing(msg)
	if err != nil {
		return record.Result{Err: &wit.SendError{Case: wit.Invalid, Text: err.Error()}}
	}
	if err := addHeaders(&out, m.Header); err != nil {
		return record.Result{Err: &wit.SendError{Case: wit.Invalid, Text: err.Error()}}
	}
	return l.o.Send(l.ctx, traceOf(m.Header), []record.Outgoing{out})[0]
}

// topicOf is the topic that a subject names: what stands in place of the pattern's first wildcard and behind it, or all
// of it where there is none.
func topicOf(pattern, subject string) string {
	before := 0
	for token := range strings.SplitSeq(pattern, ".") {
		if token == "*" || token == ">" {
			return subject[min(before, len(subject)):]
		}
		_, rest, _ := strings.Cut(subject[min(before, len(subject)):], ".")
		before = len(subject) - len(rest)
	}
	return subject
}

// answer tells the sender of a message what became of it or, where nobody can be told, the operator.
func (l *Listener) answer(m *nats.Msg, result record.Result) {
	told := m.Reply != "" && l.inboxes.Answer(m.Reply)
	if told {
		if err := l.o.Conn.Answer(m, answerOf(result, l.o.Fit)); err != nil {
			l.o.Log.Warn("a request on NATS cannot be answered", "subject", m.Subject, "error", err)
		}
	} else if m.Reply != "" {
		l.o.Log.Warn("a message on NATS asks for its answer at no inbox, and gets none", "subject", m.Subject)
	}
	l.note(m.Subject, result.Err, told)
}

// answerOf is the body of an answer: {"topic", "partition", "offset"}, or {"error": {"code", "message"}}.
func answerOf(result record.Result, fit func(string) string) []byte {
	if result.Err != nil {
		e := *route.SendErrorOf(result.Err)
		e.Text = fit(e.Text)
		list := wit.AppendSentJSON(nil, []record.Result{{Err: &e}})
		return list[1 : len(list)-1]
	}
	body, err := json.Marshal(struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
	}{result.Topic, result.Partition, result.Offset})
	if err != nil {
		panic(fmt.Sprintf("encoding a position: %v", err)) // texts and numbers can be encoded
	}
	return body
}

// note keeps that a message was not stored which nobody was told about. One that is stored ends that.
func (l *Listener) note(subject string, err error, told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.lost = trouble{}
		return
	case told:
		return
	case l.lost.n == 0:
		l.lost.since = time.Now()
	}
	l.lost.n++
	l.lost.last = errors.New(l.o.Fit(err.Error()))
	l.o.Log.Error("a message on NATS was not stored, and its sender does not know", "subject", subject, "error", l.lost.last)
}

// Problems are what is wrong: that messages are lost.
func (l *Listener) Problems() status.Problems {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost.n == 0 {
		return nil
	}
	return status.Problems{{Kind: status.ProblemPublish, Text: fmt.Sprintf(
		"route %s: %d messages on NATS, which ask for no answer, were not stored since %s and are lost: %v",
		l.o.Route, l.lost.n, l.lost.since.UTC().Format(time.RFC3339), l.lost.last)}}
}
