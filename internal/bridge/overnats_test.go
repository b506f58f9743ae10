package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestAnUnchangedEchoComponentAnswersByNATS: what it publishes to reply-to becomes a record, with the id of the
// request.
func TestAnUnchangedEchoComponentAnswersByNATS(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 2)
	k.Topic("orders.reply", 1)
	k.Topic("asked", 1)
	client := testkit.NewClient(t, k.Brokers())
	ns := testkit.NATS(t, testkit.NATSOptions{})
	plugin := testkit.NewMessagingPlugin(t, ns, testkit.MessagingPluginOptions{
		Subjects: []string{"orders"}, Instance: func() testkit.PluginHandler { return testkit.EchoReply },
	})
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: nats-reply\nreply_topic: '{topic}.reply'\nreply_topics_from_records: asked\nnats_url: "+ns.URL()), nil)
	const n = 50
	var want []string
	for i := range n {
		value := fmt.Sprintf("order %03d", i)
		want = append(want, value)
		client.Produce(&kgo.Record{Topic: "orders", Key: []byte("one customer"), Value: []byte(value)})
	}
	var got []string
	for _, r := range client.Read("orders.reply", n) {
		got = append(got, string(r.Value))
		if string(r.Key) != "one customer" {
			t.Errorf("%q has the key %q", r.Value, r.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("they came back as %q", got)
	}
	client.Produce(&kgo.Record{Topic: "orders", Value: []byte("a question"), Headers: []kgo.RecordHeader{
		{Key: "kafka_replyTopic", Value: []byte("asked")}, {Key: "kafka_correlationId", Value: []byte("17")},
	}})
	answer := client.Read("asked", 1)[0]
	if string(answer.Value) != "a question" || len(answer.Headers) == 0 || string(answer.Headers[0].Value) != "17" {
		t.Errorf("the answer is %q with %+v", answer.Value, answer.Headers)
	}
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
	if n := plugin.Calls(); n != 51 {
		t.Errorf("%d messages came", n)
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

// TestRecordsAreHeldWhileNATSIsAway, which health tells with a kind of its own, and while nobody subscribes.
func TestRecordsAreHeldWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("orders.dead", 1)
	client := testkit.NewClient(t, k.Brokers())
	ns := testkit.NATS(t, testkit.NATSOptions{})
	ns.Stop()
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: nats-reply\ndead_letter_topic: orders.dead\nmax_attempts: 1\nnats_url: "+ns.URL()), nil)
	b.await(func(s *status.Provider) error {
		if !s.Problems.Has(status.ProblemNATS) || s.Healthy {
			return fmt.Errorf("it is not told: %+v", s.Problems)
		}
		return nil
	})
	for i := range 5 {
		client.Produce(&kgo.Record{Topic: "orders", Value: fmt.Append(nil, "order ", i)})
	}
	ns.Start()
	b.await(func(s *status.Provider) error {
		if s.Problems.Has(status.ProblemNATS) {
			return fmt.Errorf("it is told of still: %+v", s.Problems)
		}
		if !s.Links[0].Problems.Has(status.ProblemUnavailable) || !strings.Contains(s.Links[0].Reason, "nobody subscribes to orders") {
			return fmt.Errorf("nobody is missing: %s", s.Links[0].Reason)
		}
		testkit.InRunbook(t, "The NATS of a bridge's routes", s.Links[0].Reason)
		return nil
	})
	plugin := testkit.NewMessagingPlugin(t, ns, testkit.MessagingPluginOptions{
		Subjects: []string{"orders"}, Instance: func() testkit.PluginHandler {
			return func(_ context.Context, p *testkit.MessagingPlugin, m testkit.Message) error {
				return p.Reply(m, []byte("+ACK"))
			}
		},
	})
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
	if n := plugin.Calls(); n != 5 {
		t.Errorf("%d messages came, want 5", n)
	}
	if s := b.status(); s.Links[0].Counters.DeadLetters != 0 {
		t.Errorf("%v records were given up", s.Links[0].Counters.DeadLetters)
	}
}

// TestRoutesToOneNATSShareAConnection, whose secret is told nowhere.
func TestRoutesToOneNATSShareAConnection(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("bills", 1)
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) { o.Authorization = "of the servers" }})
	route := func(topic string) string {
		return topic + "\ntopic: " + topic + "\ndeliver: nats\nnats_token: ${NATS_TOKEN}\nnats_url: " + ns.URL()
	}
	b := start(t, file(k.Brokers(), route("orders"), route("bills")), map[string]string{"NATS_TOKEN": "of the servers"})
	b.await(healthy)
	if n := ns.Server().NumClients(); n != 1 {
		t.Errorf("there are %d connections", n)
	}
	if !b.log.Contains("LOST") {
		t.Error("that records can be lost is not said at the start")
	}
	if b.log.Contains("of the servers") {
		t.Error("the log tells the token")
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := ns.Server().NumClients(); n != 0 {
			return fmt.Errorf("%d connections are left", n)
		}
		return nil
	})
}
