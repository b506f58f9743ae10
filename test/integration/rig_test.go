package integration

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// rig is a lattice of its own with a place in a Kafka that others may share: topics, and the groups that are named
// after the lattice, are this test's alone.
type rig struct {
	t       *testing.T
	nats    *testkit.NATSServer
	lattice string
	host    *testkit.FakeHost
	brokers []string
	kc      *testkit.Client
	copies  []*node
}

var rigs atomic.Int32

func newRig(t *testing.T, brokers []string) *rig {
	t.Helper()
	r := &rig{
		t: t, nats: testkit.NATS(t, testkit.NATSOptions{}), brokers: brokers,
		lattice: fmt.Sprintf("t%d", rigs.Add(1)),
		kc:      testkit.NewClient(t, brokers),
	}
	// A host is less patient by default; on a busy machine that would make a test of the machine out of each test here.
	r.host = testkit.NewFakeHost(t, r.nats, testkit.FakeHostOptions{Lattice: r.lattice, ShutdownDelay: 5 * time.Second})
	return r
}

// topic creates a topic and returns its name, which begins with the lattice's.
func (r *rig) topic(name string, partitions int32, configs ...string) string {
	r.t.Helper()
	name = r.lattice + "." + name
	var m map[string]string
	for i := 0; i < len(configs); i += 2 {
		if m == nil {
			m = make(map[string]string)
		}
		m[configs[i]] = configs[i+1]
	}
	r.kc.Topic(name, partitions, m)
	return name
}

// group is the default group of a component's default link.
func (r *rig) group(component string) string {
	return "wasmcloud." + r.lattice + "." + component + ".default"
}

// config is a link's config with quick commits.
func (r *rig) config(topic string, more ...string) map[string]string {
	c := map[string]string{
		"hosts": strings.Join(r.brokers, ","), "start": "earliest", "commit_interval": "50ms", "retry_backoff": "10ms",
	}
	if topic != "" {
		c["topic"] = topic
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// link puts a target link of a component: it may publish, and gets the records of config's topic.
func (r *rig) link(component string, config map[string]string) testkit.Link {
	r.t.Helper()
	l := testkit.TargetLink(component, "kafka", config)
	r.host.PutLink(l)
	return l
}

// component starts a stand-in component; see [testkit.ComponentOptions].
func (r *rig) component(opts testkit.ComponentOptions) *testkit.Component {
	r.t.Helper()
	opts.Lattice = r.lattice
	return testkit.NewComponent(r.t, r.nats, opts)
}

// node is one copy of the provider on a host of its own.
type node struct {
	*testkit.Provider
	t   *testing.T
	log *testkit.Log // what an in-process copy logged
}

// start starts a copy of the provider inside the test. The links must be there already: a put before a provider
// listens is lost, here as with a real host.
func (r *rig) start() *node {
	r.t.Helper()
	log := &testkit.Log{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return r.add(testkit.ProviderSpec{Run: inProcess(logger)}, log)
}

// startProcess starts a copy of the provider as a process of its own.
func (r *rig) startProcess() *node {
	r.t.Helper()
	return r.add(testkit.ProviderSpec{
		Binary:   testkit.Program(r.t),
		HostData: func(data map[string]any) { data["log_level"] = "info" },
	}, nil)
}

func (r *rig) add(spec testkit.ProviderSpec, log *testkit.Log) *node {
	r.t.Helper()
	spec.Config = map[string]string{"admin_address": "127.0.0.1:0"}
	host := r.host
	if len(r.copies) > 0 {
		host = r.host.Peer()
	}
	n := &node{t: r.t, log: log}
	name := fmt.Sprintf("copy %d", len(r.copies)+1)
	r.t.Cleanup(func() {
		if r.t.Failed() && log != nil {
			r.t.Logf("log of %s:\n%s", name, log.String())
		}
	})
	n.Provider = host.StartProvider(spec)
	r.copies = append(r.copies, n)
	return n
}

// output is what the copy logged.
func (n *node) output() string {
	if n.log != nil {
		return n.log.String()
	}
	return n.Output()
}

// logged counts the log lines that contain all parts.
func (n *node) logged(parts ...string) int {
	count := 0
lines:
	for line := range strings.Lines(n.output()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		count++
	}
	return count
}

var adminAddress = regexp.MustCompile(`serving metrics and health" address=(\S+)`)

// scrape is what the copy serves as /metrics.
func (n *node) scrape() string {
	n.t.Helper()
	found := adminAddress.FindAllStringSubmatch(n.output(), -1)
	if found == nil {
		n.t.Fatal("the provider has not said where its metrics are")
	}
	resp, err := http.Get("http://" + found[len(found)-1][1] + "/metrics")
	if err != nil {
		n.t.Fatalf("asking for metrics: %v", err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatalf("reading metrics: %v", err)
	}
	return string(text)
}

// metric sums a metric of the copy over all its label sets that contain all parts.
func (n *node) metric(name string, parts ...string) float64 {
	n.t.Helper()
	sum := 0.0
lines:
	for line := range strings.Lines(n.scrape()) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			n.t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// stop shuts a copy down in good order and fails the test when that does not work.
func (n *node) stop() testkit.ShutdownResult {
	n.t.Helper()
	result := n.Shutdown()
	if !result.Replied || result.Err != nil {
		n.t.Errorf("the provider did not stop in good order: %+v", result)
	}
	return result
}

// keyed makes n records of keys k0, k1, … in turn, with the values prefix0, prefix1, …
func keyed(topic, prefix string, n, keys int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{
			Topic: topic, Key: fmt.Appendf(nil, "k%d", i%keys), Value: fmt.Appendf(nil, "%s%d", prefix, i),
		}
	}
	return records
}

// valuesOf are the values of records as texts.
func valuesOf(records []*kgo.Record) []string {
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
	}
	return values
}

// sum adds up offsets.
func sum(offsets map[int32]int64) int64 {
	var n int64
	for _, o := range offsets {
		n += o
	}
	return n
}
