package lattice

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// recorder is a Handler that keeps what it is told.
type recorder struct {
	// onPut, if set, runs inside of PutLink.
	onPut func(Link)
	// onShutdown, if set, runs inside of Shutdown.
	onShutdown func(context.Context)

	mu        sync.Mutex
	events    []event
	health    Health
	shutdowns int
}

type event struct {
	what   string // put, reject, delete, config
	id     LinkID
	link   Link
	err    error
	config map[string]string
}

func (e event) String() string {
	switch e.what {
	case "config":
		return fmt.Sprintf("config %v", e.config)
	case "reject":
		return fmt.Sprintf("reject %s: %v", e.id, e.err)
	default:
		return e.what + " " + e.id.String()
	}
}

func newRecorder() *recorder { return &recorder{health: Health{Healthy: true}} }

func (r *recorder) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) PutLink(l Link) {
	r.add(event{what: "put", id: l.ID, link: l})
	if r.onPut != nil {
		r.onPut(l)
	}
}

func (r *recorder) RejectLink(id LinkID, err error) { r.add(event{what: "reject", id: id, err: err}) }

func (r *recorder) DeleteLink(id LinkID) { r.add(event{what: "delete", id: id}) }

func (r *recorder) UpdateConfig(c map[string]string) { r.add(event{what: "config", config: c}) }

func (r *recorder) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

func (r *recorder) setHealth(h Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health = h
}

func (r *recorder) Shutdown(ctx context.Context) {
	r.mu.Lock()
	r.shutdowns++
	r.mu.Unlock()
	if r.onShutdown != nil {
		r.onShutdown(ctx)
	}
}

func (r *recorder) shutdownCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shutdowns
}

func (r *recorder) all() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// wait waits until there are n events and returns them. More are a failure.
func (r *recorder) wait(t *testing.T, n int) []event {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if events := r.all(); len(events) < n {
			return fmt.Errorf("%d events of %d: %v", len(events), n, events)
		}
		return nil
	})
	events := r.all()
	if len(events) > n {
		t.Fatalf("%d events instead of %d: %v", len(events), n, events)
	}
	return events
}

// fixture is a fake host with one provider that runs a Session.
type fixture struct {
	ns       *testkit.NATSServer
	host     *testkit.FakeHost
	provider *testkit.Provider
	*recorder
	log testkit.Log

	mu      sync.Mutex
	session *Session
}

// fixtureOptions change what [newFixture] starts. The zero value is good for most.
type fixtureOptions struct {
	session  Options
	spec     testkit.ProviderSpec
	recorder *recorder
	before   []testkit.Link // put before the provider starts
}

func newFixture(t *testing.T, o fixtureOptions) *fixture {
	t.Helper()
	if o.recorder == nil {
		o.recorder = newRecorder()
	}
	f := &fixture{ns: testkit.NATS(t, testkit.NATSOptions{}), recorder: o.recorder}
	f.host = testkit.NewFakeHost(t, f.ns, testkit.FakeHostOptions{})
	for _, l := range o.before {
		f.host.PutLink(l)
	}
	o.session.Logger = f.log.Logger()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the session:\n%s", f.log.String())
		}
	})
	o.spec.Run = func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		s, err := Connect(ctx, data, o.session)
		if err != nil {
			return err
		}
		defer s.Close()
		f.mu.Lock()
		f.session = s
		f.mu.Unlock()
		return s.Run(ctx, f.recorder)
	}
	f.provider = f.host.StartProvider(o.spec)
	f.waitServing(t)
	return f
}

// waitServing waits until the session answers, which it does as soon as it has all its subscriptions.
func (f *fixture) waitServing(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
		defer cancel()
		_, err := f.provider.Health(ctx)
		return err
	})
}

func (f *fixture) current() *Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.session
}

// request sends a request as the host and returns the reply.
func (f *fixture) request(t *testing.T, operation, body string) string {
	t.Helper()
	msg, err := f.host.Conn().Request("wasmbus.rpc.default.kafka."+operation, []byte(body), testkit.DefaultTimeout)
	if err != nil {
		t.Fatalf("requesting %s: %v", operation, err)
	}
	return string(msg.Data)
}

// barrier makes sure that all that the host sent before has been handled: it deletes a link that the provider was
// given for this purpose, and waits for that. It returns the events before its own.
func (f *fixture) barrier(t *testing.T) []event {
	t.Helper()
	l := testkit.TargetLink("barrier", f.provider.Key(), nil)
	seen := len(f.all())
	f.host.PutLink(l)
	f.host.DeleteLink(l)
	isEnd := func(e event) bool { return e.what == "delete" && e.id.Peer == "barrier" }
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !slices.ContainsFunc(f.all()[seen:], isEnd) {
			return fmt.Errorf("the barrier's link is not gone yet")
		}
		return nil
	})
	return slices.DeleteFunc(f.all(), func(e event) bool { return e.id.Peer == "barrier" })
}

func target(peer, name string) LinkID {
	return LinkID{AsTarget, peer, "wasmcloud", "messaging", name}
}

// expect compares the events with their texts.
func expect(t *testing.T, events []event, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events {
		got = append(got, e.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("events are\n%q, want\n%q", got, want)
	}
}

// encode writes all of a link, which as such shows its names alone.
func encode(tb testing.TB, l hostdata.Link) []byte {
	tb.Helper()
	type bare hostdata.Link
	b, err := json.Marshal(struct {
		bare
		SourceSecrets []byte `json:"source_secrets"`
		TargetSecrets []byte `json:"target_secrets"`
	}{bare(l), l.SourceSecrets, l.TargetSecrets})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
