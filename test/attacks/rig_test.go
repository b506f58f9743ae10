package attacks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	providerKey = "kafka"
	calm        = "calm"   // the topic, and the component, of the bystander
	echoed      = "echoed" // where the bystander publishes what it gets
	lid         = 256 << 20
)

// world is the program, what it works with, and a bystander.
type world struct {
	*target
	kafka    *testkit.FakeKafka
	client   *testkit.Client
	nats     *testkit.NATSServer
	host     *testkit.FakeHost
	provider *testkit.Provider
	xkey     string      // the provider's public key, which subjects of links have
	echoes   chan string // what the bystander has published
}

func newWorld(t *testing.T) *world {
	w := &world{target: newTarget(t), kafka: testkit.Kfake(t), nats: testkit.NATS(t, testkit.NATSOptions{}),
		echoes: make(chan string, 1024)}
	w.client = testkit.NewClient(t, w.kafka.Brokers(), kgo.BrokerMaxWriteBytes(128<<20), kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.DisableIdempotentWrite())
	w.topic(calm, 1)
	w.topic(echoed, 1)
	w.host = testkit.NewFakeHost(t, w.nats, testkit.FakeHostOptions{ShutdownDelay: 10 * time.Second})
	w.component(calm, func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
		if err := c.Publish(ctx, testkit.Message{Subject: echoed, Body: call.Body}); err != nil {
			return err
		}
		w.echoes <- string(call.Body)
		return nil
	})
	w.provider = w.host.StartProvider(testkit.ProviderSpec{
		Key: providerKey, Binary: testkit.Program(t), Config: map[string]string{"provider_max_memory": strconv.Itoa(lid)},
		HostData: func(data map[string]any) {
			data["log_level"] = "warn"
			key, err := nkeys.FromCurveSeed([]byte(data["provider_xkey_private_key"].(string)))
			if err == nil {
				w.xkey, err = key.PublicKey()
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	})
	w.pid, w.serveOne = w.provider.PID, func() { w.serve(1) }
	w.provider.WaitHealthy()
	w.host.PutLink(testkit.SourceLink(providerKey, calm, w.config("topic", calm)))
	w.host.PutLink(testkit.TargetLink(calm, providerKey, w.config()))
	w.serve(1)
	return w
}

// config is a link's, of pairs of keys and values.
func (w *world) config(pairs ...string) map[string]string {
	c := map[string]string{"hosts": strings.Join(w.kafka.Brokers(), ","), "start": "earliest"}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	if err := w.kafka.CreateTopic(name, partitions, map[string]string{"max.message.bytes": "134217728"}); err != nil {
		w.t.Fatalf("creating topic %s: %v", name, err)
	}
}

func (w *world) component(id string, handler testkit.HandlerFunc) *testkit.Component {
	return testkit.NewComponent(w.t, w.nats, testkit.ComponentOptions{ID: id, Provider: providerKey, Handler: handler})
}

// stuck is a component that answers no call.
func (w *world) stuck(id string) *testkit.Component {
	return w.component(id, func(ctx context.Context, _ *testkit.Component, _ testkit.Call) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// append writes a batch as it is to each of the partitions of a topic, times over.
func (w *world) append(topic string, partitions, times int, batch []byte) {
	w.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	meta := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = new(topic)
	meta.Topics = append(meta.Topics, mt)
	ctx, cancel := context.WithTimeout(w.t.Context(), testkit.DefaultTimeout)
	defer cancel()
	about, err := meta.RequestWith(ctx, w.client)
	if err != nil || len(about.Topics) != 1 {
		w.t.Fatalf("asking for topic %s: %v", topic, err)
	}
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, about.Topics[0].TopicID
	for p := range partitions {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = int32(p), batch
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	for range times {
		resp, err := req.RequestWith(ctx, w.client)
		if err != nil {
			w.t.Fatalf("producing to %s: %v", topic, err)
		}
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 {
				w.t.Fatalf("producing to %s: error %d %v", topic, p.ErrorCode, p.ErrorMessage)
			}
		}
	}
}

// serve has the bystander get n records, one after another, and publish each.
func (w *world) serve(n int) {
	w.t.Helper()
	for range n {
		want := strconv.FormatInt(w.served.Add(1), 10)
		w.client.Produce(&kgo.Record{Topic: calm, Value: []byte(want)})
		patience := time.After(testkit.DefaultTimeout)
		for got := ""; got != want; {
			select {
			case got = <-w.echoes: // one may come again
			case <-patience:
				w.t.Fatalf("the bystander's record %s is not served", want)
			}
		}
	}
}

// restart starts the program anew: that changes of links were lost shows in health until then.
func (w *world) restart() {
	w.t.Helper()
	if r := w.provider.Shutdown(); !r.Replied {
		w.t.Errorf("shutdown was not answered: %+v", r)
	}
	w.provider.Restart()
	w.provider.WaitHealthy()
	w.serve(1)
}

// invoke begins a call of publish with what a peer that writes its own bytes sends first, and returns its inbox.
func invoke(nc *nats.Conn, source string, first []byte) (*nats.Subscription, error) {
	inbox := nats.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	return sub, nc.PublishMsg(&nats.Msg{
		Subject: "default." + providerKey + ".wrpc.0.0.1.wasmcloud:messaging/consumer@0.2.0.publish",
		Reply:   inbox, Data: first,
		Header: nats.Header{"source-id": {source}, "link-name": {"default"}},
	})
}

// promise is the beginning of a message for the topic x, with a body of so many bytes.
func promise(body uint64) []byte { return binary.AppendUvarint([]byte{1, 'x'}, body) }

// dribble begins a call of which everything but the end comes, in parts.
func dribble(nc *nats.Conn, source string, parts int, part []byte) error {
	sub, err := invoke(nc, source, promise(uint64(parts+1)*uint64(len(part))))
	if err != nil {
		return err
	}
	accept, err := sub.NextMsg(testkit.DefaultTimeout)
	if err != nil {
		return fmt.Errorf("waiting to be accepted: %w", err)
	}
	if accept.Reply == "" {
		return errors.New("the call is not accepted")
	}
	for range parts {
		if err := nc.Publish(accept.Reply+".params", part); err != nil {
			return err
		}
	}
	return nc.FlushTimeout(testkit.DefaultTimeout)
}
