//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// walk is a lattice with the provider, the echo component and a Kafka in it.
type walk struct {
	t     *testing.T
	host  *testkit.Host
	kafka *testkit.Client
	next  int // the number of the next record
}

// send produces n records, each with a text of its own, and returns the texts.
func (w *walk) send(topic string, n int) map[string]int {
	w.t.Helper()
	sent := map[string]int{}
	var records []*kgo.Record
	for range n {
		text := fmt.Sprintf("record %d", w.next)
		w.next++
		sent[text] = 0
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(text), Value: []byte(text)})
	}
	w.kafka.Produce(records...)
	return sent
}

// expect waits for an echo of each text and fails the test when one came twice until then. Echoes of other records are
// left out.
func (w *walk) expect(topic string, sent map[string]int) {
	w.t.Helper()
	counted := 0
	w.kafka.ReadUntil(topic, testkit.DefaultTimeout, func(got []*kgo.Record) bool {
		missing := len(sent)
		for ; counted < len(got); counted++ {
			if _, ours := sent[string(got[counted].Value)]; ours {
				sent[string(got[counted].Value)]++
			}
		}
		for _, n := range sent {
			if n > 0 {
				missing--
			}
		}
		return missing == 0
	})
	for text, n := range sent {
		if n != 1 {
			w.t.Errorf("%s came back %d times", text, n)
		}
	}
}

// total fails the test when a topic holds another number of records than n.
func (w *walk) total(topic string, n int64) {
	w.t.Helper()
	var sum int64
	for _, end := range w.kafka.EndOffsets(topic) {
		sum += end
	}
	if sum != n {
		w.t.Errorf("%s holds %d records, want %d", topic, sum, n)
	}
}

// pinned waits until a group has noted where it begins in each partition: what is produced from then on is read.
func pinned(t *testing.T, kafka *testkit.Client, group, topic string, partitions int) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if n := len(kafka.Committed(group, topic)); n != partitions {
			return fmt.Errorf("group %s has begun in %d of %d partitions of %s", group, n, partitions, topic)
		}
		return nil
	})
}

func TestTheWalkThroughWorks(t *testing.T) {
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run("Kafka "+version, func(t *testing.T) {
			walkThrough(t,
				testkit.RealKafka(t, testkit.KafkaOptions{Version: version}))
		})
	}
}

func walkThrough(t *testing.T, kafka *testkit.Kafka) {
	testkit.HostBinary(t)
	wasm, par := testkit.EchoWasm(t), testkit.ProviderArchive(t)
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{Lattice: "walk", Log: "info"})
	w := &walk{t: t, host: host, kafka: testkit.NewClient(t, kafka.Brokers())}
	for _, topic := range []string{"wasmcloud.echo", "wasmcloud.echo.reply", "walk.orders", "walk.orders.reply"} {
		w.kafka.Topic(topic, 3, nil)
	}
	hosts := kafka.Brokers()[0]

	// The original provider's way: one link, of the component to the provider, with the topic in its config.
	target := testkit.ControlLink{Source: "echo", Target: "kafka", Interface: "consumer", TargetConfig: []string{"target"}}
	host.PutConfig("target", map[string]string{"hosts": hosts, "topic": "wasmcloud.echo"})
	host.PutLink(target)
	host.Scale("echo", wasm, 100)
	host.StartProvider("kafka", par)
	host.WaitHealthy("kafka")
	group := "wasmcloud.walk.echo.default"
	pinned(w.t, w.kafka, group, "wasmcloud.echo", 3)
	w.expect("wasmcloud.echo.reply", w.send("wasmcloud.echo", 1000))
	w.kafka.WaitDrained(group, "wasmcloud.echo")

	// A link of the provider to the component, with a topic of its own. The component still publishes by the other.
	host.PutConfig("source", map[string]string{"hosts": hosts, "topic": "walk.orders"})
	host.PutLink(testkit.ControlLink{Source: "kafka", Target: "echo", Name: "orders", Interface: "handler",
		SourceConfig: []string{"source"}})
	pinned(w.t, w.kafka, "wasmcloud.walk.echo.orders", "walk.orders", 3)
	w.expect("walk.orders.reply", w.send("walk.orders", 100))

	// Without the link nothing is read; with it again nothing is missed.
	host.DeleteLink(target)
	w.kafka.WaitMembers(group, 0)
	sent := w.send("wasmcloud.echo", 100)
	host.PutLink(target)
	w.expect("wasmcloud.echo.reply", sent)
	w.kafka.WaitDrained(group, "wasmcloud.echo")

	host.StopProvider("kafka")
	w.kafka.WaitMembers(group, 0)
	sent = w.send("wasmcloud.echo", 100)
	host.StartProvider("kafka", par)
	w.expect("wasmcloud.echo.reply", sent)
	w.kafka.WaitDrained(group, "wasmcloud.echo")
	host.StopProvider("kafka")
	// Everything came back once, and not a second time after the test had looked.
	w.total("wasmcloud.echo.reply", 1200)
	w.total("walk.orders.reply", 100)
}
