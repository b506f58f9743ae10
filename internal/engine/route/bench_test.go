package route

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is a set of routes and a fake Kafka, in virtual time.
type bench struct {
	t     *testing.T
	net   *network
	kafka *kfake.Cluster
	kc    *testkit.Client
	log   testkit.Log
	set   *Set

	mu      sync.Mutex
	receive func(way string, r *record.Record) record.Outcome // what becomes of a record, by the way that it came
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, test func(b *bench)) {
	t.Helper()
	virtuallyWith(t, nil, nil, test)
}

// virtuallyWith does so with options of the cluster, and of the test's own Kafka client.
func virtuallyWith(t *testing.T, cluster []kfake.Opt, client []kgo.Opt, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, net: &network{conns: make(map[net.Conn]bool)}}
		var err error
		if b.kafka, err = kfake.NewCluster(append(cluster, kfake.Ports(9092), kfake.ListenFn(b.net.stack.Listen))...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.kafka.Close)
		b.kc = testkit.NewClient(t, []string{broker}, append(client, kgo.Dialer(b.net.stack.DialContext))...)
		b.begin()
		t.Cleanup(func() {
			b.end()
			if t.Failed() {
				t.Logf("the log of the routes:\n%s", &b.log)
			}
		})
		test(b)
	})
}

const broker = "127.0.0.1:9092"

// begin makes a set, as a process does that starts.
func (b *bench) begin() {
	b.set = NewSet(Options{
		Log: b.log.Logger(), Metrics: telemetry.NewMetrics(), Secrets: new(redact.Redactor), Process: []string{"host", "provider"}, Connector: b.net.dial,
	})
}

// end stops the set in order, if that has not been done.
func (b *bench) end() {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
	defer cancel()
	b.set.Stop(ctx)
	b.set.Close()
}

// network is the way of routes to Kafka.
type network struct {
	stack kfake.VirtualNetwork

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	c, err := n.stack.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = true
	return c, nil
}

// cut closes all connections that there are.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // most are closed already
	}
	clear(n.conns)
}

func (b *bench) topics(names ...string) {
	for _, name := range names {
		b.kc.Topic(name, 3, nil)
	}
}

// config is a link's config with a topic, as quick as tests want it.
func (b *bench) config(topic string, more ...string) map[string]string {
	c := map[string]string{
		"hosts": broker, "start": "earliest", "commit_interval": "20ms", "fetch_max_wait": "100ms", "retry_backoff": "5ms",
	}
	if topic != "" {
		c["topic"] = topic
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// link is what a front-end may ask for.
type link struct {
	id     ID
	label  Label
	role   role.Role
	config map[string]string
}

// target, source and handler are links of the component "echo": by which it publishes and may get messages, by which it
// gets messages, and by which it gets batches of records.
func target(config map[string]string) link {
	return link{ID{"echo", "default", "1"}, Label{role.MessagingPackage, status.Target}, role.Messaging, config}
}

func source(config map[string]string) link {
	return link{ID{"echo", "default", "2 messages"}, Label{role.MessagingPackage, status.Source}, role.Messages, config}
}

func handler(config map[string]string) link {
	return link{ID{"echo", "default", "2 batches"}, Label{role.RecordsPackage, status.Source}, role.Handle, config}
}

func (l link) with(config map[string]string) link {
	l.config = config
	return l
}

// put has a link carried out, as a front-end does.
func (b *bench) put(l link) *Route {
	b.t.Helper()
	return b.putWith(l, func(d Delivery) record.Receiver { return b.receiver(l.role, d) })
}

// putWith does so with what takes the records of its readings.
func (b *bench) putWith(l link, receiver func(Delivery) record.Receiver) *Route {
	b.t.Helper()
	r := b.set.Open(l.id, l.label)
	parsed, _, err := settings.ParseLink(settings.Input{
		Config: l.config, Batches: l.role.Batches(), Records: l.role.Records(),
		Identity: settings.Identity{
			Lattice: "default", Component: l.id.Peer, LinkName: l.id.Name, HostID: "host", ProviderKey: "provider", End: l.label.Direction + " of " + l.label.Package,
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	r.Apply(Wanted{Role: l.role, Settings: parsed, Receiver: receiver})
	return r
}

// receiver hands records to b.receive: by "orders raw", "orders envelope" or "orders record".
func (b *bench) receiver(does role.Role, d Delivery) record.Receiver {
	return receiver(func(_ context.Context, batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			way := r.Topic + " raw"
			msg, _ := d.Form.Message(r)
			switch {
			case does.Batches():
				way = r.Topic + " record"
			case strings.HasPrefix(string(msg.Body), "{"):
				way = r.Topic + " envelope"
			}
			b.mu.Lock()
			receive := b.receive
			b.mu.Unlock()
			outcomes[i] = record.Outcome{Kind: record.Done}
			if receive != nil {
				outcomes[i] = receive(way, r)
			}
		}
		return outcomes
	})
}

type receiver func(context.Context, []*record.Record) []record.Outcome

// Receive implements record.Receiver.
func (f receiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	return f(ctx, batch)
}

// count has records counted by the way that they came, and returns what waits for counts.
func (b *bench) count() (wait func(want map[string]int)) {
	var mu sync.Mutex
	by := make(map[string]int)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive = func(way string, _ *record.Record) record.Outcome {
		mu.Lock()
		defer mu.Unlock()
		by[way]++
		return record.Outcome{Kind: record.Done}
	}
	return func(want map[string]int) {
		b.t.Helper()
		testkit.Eventually(b.t, testkit.DefaultTimeout, func() error {
			mu.Lock()
			defer mu.Unlock()
			if !maps.Equal(by, want) {
				return fmt.Errorf("came %v, want %v", by, want)
			}
			return nil
		})
	}
}

func (b *bench) produceMany(topic string, n int) {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("v", i)
	}
	b.kc.ProduceText(topic, values...)
}

// awaitStatus asks until check is content.
func (b *bench) awaitStatus(check func(*status.Provider) error) {
	b.t.Helper()
	testkit.Eventually(b.t, testkit.DefaultTimeout, func() error {
		s := b.set.Status(status.Provider{})
		return check(&s)
	})
}

// linkOf is the status of a route, an empty one where it has none.
func linkOf(s *status.Provider, id string) *status.Link {
	for i := range s.Links {
		if s.Links[i].ID() == id {
			return &s.Links[i]
		}
	}
	return new(status.Link)
}

// waitLines waits until the log has n lines with a text.
func (b *bench) waitLines(text string, n int) {
	b.t.Helper()
	testkit.Eventually(b.t, testkit.DefaultTimeout, func() error {
		if got := strings.Count(b.log.String(), text); got < n {
			return fmt.Errorf("%d lines say %q, want %d", got, text, n)
		}
		return nil
	})
}
