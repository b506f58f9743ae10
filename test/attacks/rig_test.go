package attacks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
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
	t        *testing.T
	kafka    *testkit.FakeKafka
	client   *testkit.Client
	nats     *testkit.NATSServer
	host     *testkit.FakeHost
	provider *testkit.Provider
	xkey     string       // the provider's public key, which subjects of links have
	echoes   chan string  // what the bystander has published
	served   atomic.Int64 // records of the bystander
	table    strings.Builder
	rows     *tabwriter.Writer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, kafka: testkit.Kfake(t), nats: testkit.NATS(t, testkit.NATSOptions{}),
		echoes: make(chan string, 1024)}
	w.client = testkit.NewClient(t, w.kafka.Brokers(), kgo.BrokerMaxWriteBytes(128<<20), kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.DisableIdempotentWrite())
	w.rows = tabwriter.NewWriter(&w.table, 0, 0, 2, ' ', 0)
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

// settle serves the bystander until the program has not become larger while it was served 20 times.
func (w *world) settle() {
	w.t.Helper()
	for last, same := int64(0), 0; same < 20; {
		w.serve(1)
		if now := w.peak(); now != last {
			last, same = now, 0
		} else {
			same++
		}
	}
}

// peak is the most that the program had resident since forget.
func (w *world) peak() int64 {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.provider.PID()))
	if err != nil {
		w.t.Fatalf("the program's memory cannot be read; it may have ended: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
		w.t.Fatalf("the program has no peak of memory: %v", err)
	}
	return kilobytes << 10
}

// forget has the kernel count the peak anew.
func (w *world) forget() {
	w.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", w.provider.PID()), []byte("5"), 0); err != nil {
		w.t.Fatalf("the peak of memory cannot be set back: %v", err)
	}
}

// attack runs one attack with the bystander served beside it and after it, and holds the peak against the lid.
func (w *world) attack(name, sent string, do func()) {
	w.t.Run(name, func(t *testing.T) {
		outer := w.t
		w.t = t
		defer func() { w.t = outer }()
		w.forget()
		before := w.served.Load()
		do()
		w.settle()
		peak := w.peak()
		fmt.Fprintf(w.rows, "%s\t%s\t%d MiB\t%d MiB\t%d\n", name, sent, peak>>20, lid>>20, w.served.Load()-before)
		if peak >= lid {
			t.Errorf("%s: %d MiB were resident where %d are allowed", name, peak>>20, lid>>20)
		}
	})
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

// meanwhile serves the bystander for as long as do takes.
func (w *world) meanwhile(do func()) {
	w.t.Helper()
	var doing sync.WaitGroup
	done := make(chan struct{})
	doing.Go(func() { defer close(done); do() })
	defer doing.Wait()
	for {
		w.serve(1)
		select {
		case <-done:
			return
		default:
		}
	}
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
