//go:build e2e

package e2e

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// stack is all of it: a lattice with a real host, the provider as its users get it, and a real Kafka.
type stack struct {
	t     *testing.T
	host  *testkit.Host
	nats  *testkit.NATSServer
	kafka *testkit.Client
	hosts string
	links int
}

// The provider's id, and the packages of the links.
const (
	providerID     = "kafka"
	recordsPackage = "messaging-kafka:records"
)

// largeValues is the size of values that the topics and links of a stack have room for, and more than Kafka's default.
const largeValues = "2MiB"

// startStack starts a host with the provider and waits until it is healthy. Links need not name the brokers.
func startStack(t *testing.T, kafka *testkit.Kafka, opts testkit.HostOptions) *stack {
	t.Helper()
	testkit.HostBinary(t)
	archive := testkit.ProviderArchive(t)
	s := &stack{t: t, nats: testkit.NATS(t, testkit.NATSOptions{JetStream: true}), hosts: kafka.Brokers()[0]}
	s.kafka = testkit.NewClient(t, kafka.Brokers(), kgo.ProducerBatchMaxBytes(4<<20), kgo.ProducerLinger(0))
	if opts.Log == "" {
		opts.Log = "info"
	}
	s.host = testkit.StartHost(t, s.nats, opts)
	s.host.PutConfig("provider", map[string]string{
		"hosts": s.hosts, "start": "earliest", "commit_interval": "50ms", "retry_backoff": "10ms",
		"max_message_bytes": largeValues,
	})
	s.host.StartProvider(providerID, archive, "provider")
	s.host.WaitHealthy(providerID)
	return s
}

// component starts up to 4 instances of a component that test/components/build knows by the name of its file.
func (s *stack) component(id, name string) {
	s.t.Helper()
	s.host.Scale(id, testkit.ComponentWasm(s.t, name), 4)
}

// topics creates topics of one partition, in which records keep their order.
func (s *stack) topics(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.kafka.Topic(name, 1, map[string]string{"max.message.bytes": "4000000", "retention.ms": "-1"})
	}
}

// link makes a link with settings, and returns it for [testkit.Host.DeleteLink].
func (s *stack) link(l testkit.ControlLink, settings ...string) testkit.ControlLink {
	s.t.Helper()
	s.links++
	config := fmt.Sprint("link-", s.links)
	values := make(map[string]string)
	for i := 0; i < len(settings); i += 2 {
		values[settings[i]] = settings[i+1]
	}
	s.host.PutConfig(config, values)
	if l.Source == providerID {
		l.SourceConfig = []string{config}
	} else {
		l.TargetConfig = []string{config}
	}
	s.host.PutLink(l)
	return l
}

// toHandler, toProcessor and fromComponent link a component of messaging-kafka:records with the provider.
func (s *stack) toHandler(component, name, topic string, settings ...string) testkit.ControlLink {
	s.t.Helper()
	return s.link(testkit.ControlLink{Source: providerID, Target: component, Name: name, Package: recordsPackage,
		Interface: "handler"},
		append([]string{"topic", topic}, settings...)...)
}

func (s *stack) toProcessor(component, name, topic string, settings ...string) testkit.ControlLink {
	s.t.Helper()
	return s.link(testkit.ControlLink{Source: providerID, Target: component, Name: name, Package: recordsPackage,
		Interface: "processor"},
		append([]string{"topic", topic}, settings...)...)
}

func (s *stack) fromComponent(component string, settings ...string) testkit.ControlLink {
	s.t.Helper()
	return s.link(testkit.ControlLink{Source: component, Target: providerID, Package: recordsPackage,
		Interface: "producer,requester"}, settings...)
}

// group is the default group of a link.
func (s *stack) group(component, link string) string {
	return "wasmcloud." + s.host.Lattice() + "." + component + "." + link
}

// drained waits until a link has finished all records of a topic.
func (s *stack) drained(component, link, topic string) {
	s.t.Helper()
	s.kafka.WaitDrained(s.group(component, link), topic)
}

// values are the values of records, as texts.
func values(records []*kgo.Record) []string {
	var texts []string
	for _, r := range records {
		texts = append(texts, string(r.Value))
	}
	return texts
}

// header returns the first value of a record's header.
func headerOf(r *kgo.Record, key string) (string, bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value), true
		}
	}
	return "", false
}

// overhear counts the messages on the lattice that are as large as this, or larger, until the test ends.
func (s *stack) overhear(bytes int) *atomic.Int64 {
	s.t.Helper()
	var n atomic.Int64
	nc := s.nats.Connect()
	sub, err := nc.Subscribe(">", func(m *nats.Msg) {
		if len(m.Data) >= bytes {
			n.Add(1)
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &n
}

// checkSame fails the test unless both lists have the same records, in whatever order: keys, values, headers and
// timestamps, null and empty told apart.
func checkSame(t *testing.T, got, want []*kgo.Record) {
	t.Helper()
	sorted := func(list []*kgo.Record) []string {
		var texts []string
		for _, r := range list {
			texts = append(texts, describe(r))
		}
		slices.Sort(texts)
		return texts
	}
	if got, want := sorted(got), sorted(want); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// describe writes all that a producer gives a record but its topic; long values by their length and a hash.
func describe(r *kgo.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d key %s value %s", r.Timestamp.UnixMilli(), payload(r.Key), payload(r.Value))
	for _, h := range r.Headers {
		fmt.Fprintf(&b, " %q=%s", h.Key, payload(h.Value))
	}
	return b.String()
}

func payload(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 200:
		h := fnv.New64a()
		h.Write(b)
		return fmt.Sprintf("%d bytes, hash %x", len(b), h.Sum64())
	default:
		return fmt.Sprintf("%q", b)
	}
}
