//go:build acceptance

package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// doneFunc is called with what a component makes of a message.
type doneFunc func(p *testkit.MessagingPlugin, m testkit.Message, body []byte) error

// component is one of wasmcloud:messaging in a stand-in for a host of wasmCloud 2.x: such a host cannot be built from
// published packages. done is what it publishes for a record that it has handled.
func component(done doneFunc) func() testkit.PluginHandler {
	app := &standIn{}
	request := func(context.Context, string, []byte) ([]byte, error) {
		return nil, errors.New("nobody answers requests here")
	}
	return func() testkit.PluginHandler {
		return func(ctx context.Context, p *testkit.MessagingPlugin, m testkit.Message) error {
			body, err := app.obey(ctx, m.Body, 0, request)
			switch {
			case errors.Is(err, errTrap), errors.Is(err, errGivenUp):
				return err
			case errors.As(err, new(rejected)):
				return p.Reply(m, []byte("+TERM "+err.Error()))
			case err != nil:
				return p.Reply(m, []byte("-NAK "+err.Error()))
			default:
				return done(p, m, body)
			}
		}
	}
}

// workload starts a workload in the stand-in for a host. output is the subject on which it asks for its outputs to be
// stored; "" has it reply with them.
type workload func(p *place, ns *testkit.NATSServer, opts testkit.MessagingPluginOptions, output string) application

// standInWorkload has a component that stands in for a real one.
func standInWorkload(p *place, ns *testkit.NATSServer, opts testkit.MessagingPluginOptions, output string) application {
	p.t.Helper()
	opts.Instance = component(func(p *testkit.MessagingPlugin, m testkit.Message, body []byte) error {
		if output == "" {
			return p.Reply(m, body)
		}
		answer, err := p.Request(output, body, testkit.DefaultTimeout)
		if err != nil {
			return err
		}
		if !stored(answer) {
			return p.Reply(m, append([]byte("-NAK "), answer...))
		}
		return p.Reply(m, []byte("+ACK"))
	})
	return testkit.NewMessagingPlugin(p.t, ns, opts)
}

// startNATSReply starts a workload behind deliver=nats-reply: what it replies is the output.
func startNATSReply(start workload) func(p *place, settings map[string]string) {
	return func(p *place, settings map[string]string) {
		p.t.Helper()
		ns := testkit.NATS(p.t, testkit.NATSOptions{})
		p.app = start(p, ns, testkit.MessagingPluginOptions{Subjects: []string{in}}, "")
		startBridgeTo(p, map[string]string{"deliver": "nats-reply", "nats_url": ns.URL()}, settings)
	}
}

// startJetStream starts a workload behind a stream with a push consumer, which acknowledges as it replies elsewhere.
// It publishes its outputs by requests on NATS. What the consumer gives up is kept, where there is a topic for that.
func startJetStream(start workload) func(p *place, settings map[string]string) {
	return func(p *place, settings map[string]string) {
		p.t.Helper()
		behindAStream(p, start, settings)
	}
}

func behindAStream(p *place, start workload, settings map[string]string) {
	p.t.Helper()
	const stream, consumer, queue, delivered, outputs = "IN", "component", "workers", "component.in", "kafka."
	const advisories, advisory = "GIVEN_UP", "$JS.EVENT.ADVISORY.CONSUMER."
	ns := testkit.NATS(p.t, testkit.NATSOptions{JetStream: true})
	js, err := jetstream.New(ns.Connect())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx := p.t.Context()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"stream." + in}})
	if err != nil {
		p.t.Fatal(err)
	}
	maxDeliver := -1
	if most, err := strconv.Atoi(settings["max_attempts"]); err == nil {
		maxDeliver = most
	}
	pushed, err := js.CreatePushConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: consumer, DeliverSubject: delivered, DeliverGroup: queue, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: 2 * time.Second, MaxAckPending: 1, MaxDeliver: maxDeliver,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.settled = func() error {
		info, err := pushed.Info(ctx)
		if err == nil && (info.NumPending > 0 || info.NumAckPending > 0) {
			err = fmt.Errorf("the consumer has %d messages before it, and %d under way", info.NumPending, info.NumAckPending)
		}
		return err
	}
	p.app = start(p, ns, testkit.MessagingPluginOptions{Subjects: []string{delivered}, Queue: queue}, outputs+out)
	where := map[string]string{
		"deliver": "jetstream", "nats_url": ns.URL(), "nats_subject": "stream." + in, "nats_stream": stream,
		"nats_publish_subject": outputs + ">", "allowed_topics": out,
	}
	if settings["dead_letter_topic"] != "" {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: advisories, Subjects: []string{
			advisory + "MAX_DELIVERIES." + stream + ".*", advisory + "MSG_TERMINATED." + stream + ".*",
		}}); err != nil {
			p.t.Fatal(err)
		}
		where["nats_advisory_stream"] = advisories
	}
	startBridgeTo(p, where, settings)
}

// stored tells whether an answer has the position of a record.
func stored(answer []byte) bool {
	var position struct{ Offset *int64 }
	return json.Unmarshal(answer, &position) == nil && position.Offset != nil
}
