package testkit

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// MessagingPlugin stands in for a host of wasmCloud 2.x that runs one component of wasmcloud:messaging: it is no such
// host, but does on the wire what the NATS plugin of one does. It subscribes to subjects in a queue group and hands
// each message to a fresh instance, on a goroutine of its own and not in their order. Headers are dropped both ways. It
// never replies by itself and throws away how a handler ends: an error, a trap, and a message that is shed because too
// many are in flight are all the same silence. All methods may be called from any goroutine.
type MessagingPlugin struct {
	t    testing.TB
	nc   *nats.Conn
	opts MessagingPluginOptions

	slots chan struct{}
	calls atomic.Int64
	shed  atomic.Int64

	mu      sync.Mutex
	subs    []*nats.Subscription // nil while stopped
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// MessagingPluginOptions describe the workload.
type MessagingPluginOptions struct {
	// Subjects are those of the config's subscriptions.
	Subjects []string
	// Queue is its consumer_group, default "workers".
	Queue string
	// Instance makes what handles a message: each has an instance of its own.
	Instance func() PluginHandler
	// MaxInFlight and AdmissionWait are the plugin's admission limits, default 33 and half a second: behind them a
	// message is gone.
	MaxInFlight   int
	AdmissionWait time.Duration
	// Connect is how the host connects, where that takes more than an address.
	Connect []nats.Option
}

// PluginHandler is a component's handle-message. Its error, as a trap, is nobody's business. ctx ends when the host
// does.
type PluginHandler func(ctx context.Context, p *MessagingPlugin, m Message) error

// NewMessagingPlugin starts the stand-in, and stops it when the test ends.
func NewMessagingPlugin(t testing.TB, ns *NATSServer, opts MessagingPluginOptions) *MessagingPlugin {
	t.Helper()
	opts.Queue = cmp.Or(opts.Queue, "workers")
	opts.MaxInFlight = cmp.Or(opts.MaxInFlight, 33)
	opts.AdmissionWait = cmp.Or(opts.AdmissionWait, 500*time.Millisecond)
	p := &MessagingPlugin{t: t, nc: ns.Connect(opts.Connect...), opts: opts, slots: make(chan struct{}, opts.MaxInFlight)}
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// Calls is how many messages instances were made for.
func (p *MessagingPlugin) Calls() int { return int(p.calls.Load()) }

// Shed is how many messages were dropped for want of a place.
func (p *MessagingPlugin) Shed() int { return int(p.shed.Load()) }

// Start starts the workload again after [MessagingPlugin.Kill].
func (p *MessagingPlugin) Start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.subs != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for _, subject := range p.opts.Subjects {
		sub, err := p.nc.QueueSubscribe(subject, p.opts.Queue, func(m *nats.Msg) {
			if p.takes(ctx) {
				go p.serve(ctx, m)
			}
		})
		if err != nil {
			p.t.Fatalf("subscribing: %v", err)
		}
		p.subs = append(p.subs, sub)
	}
	if err := p.nc.Flush(); err != nil { // as the plugin's round trip: a started workload really is subscribed
		p.t.Fatalf("waiting for the subscriptions: %v", err)
	}
}

// Kill ends the workload at once: nobody subscribes any more, and what is being handled is given up.
func (p *MessagingPlugin) Kill() {
	p.mu.Lock()
	if p.subs == nil {
		p.mu.Unlock()
		return
	}
	for _, sub := range p.subs {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			p.t.Errorf("unsubscribing: %v", err)
		}
	}
	if err := p.nc.Flush(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		p.t.Logf("the server did not hear of the end: %v", err)
	}
	p.subs = nil
	p.cancel()
	p.mu.Unlock()
	p.running.Wait()
}

// takes counts a message that is to be served, unless the workload has been killed.
func (p *MessagingPlugin) takes(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	p.running.Add(1)
	return true
}

func (p *MessagingPlugin) serve(ctx context.Context, m *nats.Msg) {
	defer p.running.Done()
	wait := time.NewTimer(p.opts.AdmissionWait)
	defer wait.Stop()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-wait.C:
		p.shed.Add(1)
		return
	case <-ctx.Done():
		return
	}
	p.calls.Add(1)
	msg := Message{Subject: m.Subject, Body: m.Data}
	if m.Reply != "" {
		msg.ReplyTo = &m.Reply
	}
	_ = p.opts.Instance()(ctx, p, msg) // as the plugin does
}

// Publish is consumer.publish: without headers, and without an acknowledgement.
func (p *MessagingPlugin) Publish(m Message) error {
	if m.ReplyTo != nil {
		return p.nc.PublishRequest(m.Subject, *m.ReplyTo, m.Body)
	}
	return p.nc.Publish(m.Subject, m.Body)
}

// Reply publishes to the reply-to of a message, where it has one.
func (p *MessagingPlugin) Reply(to Message, body []byte) error {
	if to.ReplyTo == nil {
		return nil
	}
	return p.Publish(Message{Subject: *to.ReplyTo, Body: body})
}

// Request is consumer.request: both failures, nobody there and no answer in time, are texts.
func (p *MessagingPlugin) Request(subject string, body []byte, timeout time.Duration) ([]byte, error) {
	m, err := p.nc.Request(subject, body, timeout)
	if err != nil {
		return nil, errors.New("failed to send request: " + err.Error())
	}
	return m.Data, nil
}

// EchoReply is the handler of the echo component.
func EchoReply(_ context.Context, p *MessagingPlugin, m Message) error { return p.Reply(m, m.Body) }
