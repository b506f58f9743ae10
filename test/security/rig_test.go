package security

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// rig is a lattice of its own with a provider at trace level, whose every word goes to the ledger.
type rig struct {
	*testkit.Provider
	t       *testing.T
	c       *cluster
	nats    *testkit.NATSServer
	host    *testkit.FakeHost
	lattice string
	kc      *testkit.Client // as one who may do everything
}

var rigs atomic.Int32

// newRig starts a provider with the given config and secrets of its own.
func newRig(t *testing.T, c *cluster, config map[string]string, secrets map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, c: c, nats: testkit.NATS(t, testkit.NATSOptions{}), lattice: fmt.Sprintf("s%d", rigs.Add(1)),
		kc: testkit.NewClient(t, c.Brokers())}
	r.host = testkit.NewFakeHost(t, r.nats, testkit.FakeHostOptions{Lattice: r.lattice, ShutdownDelay: 5 * time.Second})
	// What crosses the lattice is there for everyone in it to read.
	listener := r.nats.Connect()
	if _, err := listener.Subscribe(">", func(m *nats.Msg) {
		run.Saw("a NATS message on "+m.Subject,
			string(m.Data))
	}); err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"admin_address": "127.0.0.1:0"}
	maps.Copy(own, config)
	r.Provider = r.host.StartProvider(testkit.ProviderSpec{
		Binary: testkit.Program(t), Config: own, Secrets: sealed(secrets),
		HostData: func(data map[string]any) { data["log_level"] = "trace" },
	})
	t.Cleanup(func() { run.Saw("the provider's output in "+t.Name(), r.Output()) })
	r.WaitHealthy() // a put before the provider listens is lost, here as with a real host
	t.Cleanup(func() {
		if r.Exited() {
			t.Errorf("the provider has ended: %v", r.Err())
			return
		}
		run.Saw("the metrics in "+t.Name(), r.scrape("/metrics"))
		for _, path := range []string{"/readyz", "/links", "/history"} {
			run.Saw(path+" in "+t.Name(), r.scrape(path))
		}
		if result := r.Shutdown(); !result.Replied || result.Err != nil {
			t.Errorf("the provider's end: %+v", result)
		}
	})
	return r
}

func sealed(secrets map[string]string) map[string]testkit.SecretValue {
	values := make(map[string]testkit.SecretValue, len(secrets))
	for key, text := range secrets {
		values[key] = testkit.SecretText(text)
	}
	return values
}

// topic creates a topic and returns its name, which begins with the lattice's.
func (r *rig) topic(name string, partitions int32) string {
	r.t.Helper()
	name = r.lattice + "." + name
	r.kc.Topic(name, partitions, nil)
	return name
}

// group is the default group of a component.
func (r *rig) group(component string) string {
	return "wasmcloud." + r.lattice + "." + component + ".default"
}

func (r *rig) component(id string) *testkit.Component {
	r.t.Helper()
	return testkit.NewComponent(r.t, r.nats, testkit.ComponentOptions{Lattice: r.lattice, ID: id})
}

// config puts key and value pairs together.
func config(pairs ...string) map[string]string {
	c := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

// with adds pairs to a copy of a config.
func with(base map[string]string, pairs ...string) map[string]string {
	c := maps.Clone(base)
	maps.Copy(c, config(pairs...))
	return c
}

// link puts a target link of a component, with its secrets sealed.
func (r *rig) link(component string, config, secrets map[string]string) testkit.Link {
	r.t.Helper()
	l := testkit.TargetLink(component, "kafka", config)
	l.TargetSecrets = sealed(secrets)
	r.host.PutLink(l)
	return l
}

// reading is what quick tests want of a link that reads a topic.
func reading(topic string) map[string]string {
	return config("topic", topic, "start", "earliest", "commit_interval", "50ms", "retry_backoff", "10ms",
		"fetch_max_wait", "100ms")
}

// unhealthy waits until health says all words of a link and returns the message.
func (r *rig) unhealthy(component string, words ...string) string {
	r.t.Helper()
	text := r.WaitUnhealthy(append([]string{"link " + component + "/default: "}, words...)...)
	run.Saw("health in "+r.t.Name(), text)
	if strings.Contains(text, "EOF") {
		r.t.Errorf("health has a bare EOF: %s", text)
	}
	return text
}

// check runs the preflight check on the settings of a link of a component.
func (r *rig) check(component string, config, secrets map[string]string) check.Result {
	r.t.Helper()
	hidden := make(map[string]settings.Secret)
	for key, text := range secrets {
		hidden[key] = settings.NewSecret(text)
	}
	result := check.Run(r.t.Context(), check.Link{Name: component, Input: settings.Input{
		Config: config, Secrets: hidden, Identity: settings.Identity{Lattice: r.lattice, Component: component,
			LinkName: "default"},
	}}, check.Options{})
	run.Saw("the check in "+r.t.Name(), lines(result))
	return result
}

func lines(result check.Result) string {
	var b strings.Builder
	for _, f := range result.Steps {
		fmt.Fprintf(&b, "%s %s %s (%s): %s\n", f.Status, f.Step, f.Target, f.Class, f.Text)
	}
	return b.String()
}

// found returns the first finding of a step with a status.
func found(result check.Result, step check.Step, status check.Status) (check.Finding, bool) {
	i := slices.IndexFunc(result.Steps, func(f check.Finding) bool { return f.Step == step && f.Status == status })
	if i < 0 {
		return check.Finding{}, false
	}
	return result.Steps[i], true
}

var adminAddress = regexp.MustCompile(`serving metrics and health" address=(\S+)`)

func (r *rig) scrape(path string) string {
	r.t.Helper()
	address := adminAddress.FindStringSubmatch(r.Output())
	if address == nil {
		r.t.Fatal("the provider has not said where its metrics are")
	}
	resp, err := http.Get("http://" + address[1] + path)
	if err != nil {
		r.t.Fatalf("asking for %s: %v", path, err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("reading %s: %v", path, err)
	}
	return string(text)
}

// rebalances is how often the group has assigned partitions to a component's link.
func (r *rig) rebalances(component string) float64 {
	r.t.Helper()
	line := regexp.MustCompile(`(?m)^\w*rebalances_total\{component="` + component +
		`".*\} (\S+)$`).FindStringSubmatch(r.scrape("/metrics"))
	if line == nil {
		r.t.Fatal("there is no metric of rebalances")
	}
	n, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// echoes waits until the values come back from a topic's reply topic, whatever else does.
func (r *rig) echoes(topic string, values ...string) {
	r.t.Helper()
	r.kc.ReadUntil(topic+".reply", testkit.DefaultTimeout, func(records []*kgo.Record) bool {
		for _, v := range values {
			if !slices.ContainsFunc(records, func(rec *kgo.Record) bool { return string(rec.Value) == v }) {
				return false
			}
		}
		return true
	})
}

// flow is a steady stream of numbered records.
type flow struct {
	r     *rig
	topic string
	stop  context.CancelFunc
	done  chan struct{}
	sent  atomic.Int64
	err   error // valid once done is closed
}

// flowEvery is the time between the records of a flow.
const flowEvery = 20 * time.Millisecond

func (r *rig) flow(topic string) *flow {
	ctx, cancel := context.WithCancel(r.t.Context())
	f := &flow{r: r, topic: topic, stop: cancel, done: make(chan struct{})}
	r.t.Cleanup(func() { cancel(); <-f.done })
	go func() {
		defer close(f.done)
		tick := time.NewTicker(flowEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			n := f.sent.Load()
			record := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key %d", n%17), Value: fmt.Append(nil, n)}
			if err := r.kc.ProduceSync(context.WithoutCancel(ctx), record).FirstErr(); err != nil {
				f.err = err
				return
			}
			f.sent.Add(1)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return f
}

// echoed is how many records have come back.
func (f *flow) echoed() int64 {
	sum := int64(0)
	for _, end := range f.r.kc.EndOffsets(f.topic + ".reply") {
		sum += end
	}
	return sum
}

// waitMore waits until n more records than now have come back.
func (f *flow) waitMore(n int64) {
	f.r.t.Helper()
	from := f.echoed()
	testkit.Eventually(f.r.t, testkit.DefaultTimeout, func() error {
		if now := f.echoed(); now < from+n {
			return fmt.Errorf("%d of %d more records have come back", now-from, n)
		}
		return nil
	})
}

// end stops the flow and checks that every record has come back, and once.
func (f *flow) end(group string) {
	t := f.r.t
	t.Helper()
	f.stop()
	<-f.done
	if f.err != nil {
		t.Fatalf("producing: %v", f.err)
	}
	f.r.kc.WaitDrained(group, f.topic)
	n := int(f.sent.Load())
	seen := make(map[string]int)
	for _, record := range f.r.kc.Read(f.topic+".reply", n) {
		seen[string(record.Value)]++
	}
	if total := f.echoed(); len(seen) != n || total != int64(n) {
		t.Errorf("%d records were sent, %d came back in %d echoes", n, len(seen), total)
	}
	t.Logf("%d records went through", n)
}
