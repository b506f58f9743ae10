package process

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// front is the least that a front-end can be.
type front struct{ p *Process }

func (f front) Status(context.Context) status.Provider { return f.p.Status(nil) }
func (f front) Snapshot() telemetry.Snapshot           { return f.p.Routes.Snapshot() }

// start begins a process that the test ends.
func start(t *testing.T, o Options) *Process {
	t.Helper()
	p := Start(o)
	t.Cleanup(func() {
		p.Routes.Stop(context.Background())
		p.Close()
	})
	return p
}

func TestAFrontEndWithRoutesIsShown(t *testing.T) {
	p := start(t, Options{
		Config:   map[string]string{"admin_address": "127.0.0.1:0"},
		Identity: otlp.Identity{Version: "v1", ProviderKey: "kafka", HostID: "host", InstanceID: "copy"},
	})
	var address net.Addr
	defer p.Serve(front{p}, func(a net.Addr) { address = a })()
	p.Routes.Open(route.ID{Peer: "echo", Name: "default"}, route.Label{}).Refuse(io.ErrUnexpectedEOF)
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get("http://" + address.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		return missing(get("/links"), `"version":"v1"`, `"host_id":"host"`, `"component":"echo"`, "unexpected EOF")
	})
	if err := missing(get("/metrics"), "messaging_kafka_link_state", `component="echo"`); err != nil {
		t.Error(err)
	}
}

// missing is an error that names what a text does not have.
func missing(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return &lacks{part, text}
		}
	}
	return nil
}

type lacks struct{ part, text string }

func (e *lacks) Error() string { return e.part + " is not in " + e.text }

func TestWhatIsWrongWithTheProcessIsToldUntilItIsMended(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := map[string]string{"admin_address": taken.Addr().String()}
	p := start(t, Options{Config: map[string]string{
		"admin_address": taken.Addr().String(), "provider_max_in_flight": "many",
	}})
	p.Serve(front{p}, func(net.Addr) { t.Error("an address that is taken is served") })
	if err := missing(p.Health(nil), "provider_max_in_flight", "listening on admin_address"); err != nil {
		t.Error(err)
	}
	if own := p.Own.MaxInFlight; own <= 0 {
		t.Errorf("provider_max_in_flight is %d: the default is to be used", own)
	}
	p.Configure(address)
	if text := p.Health(nil); strings.Contains(text, "provider_max_in_flight") ||
		missing(text, "listening on admin_address") != nil {
		t.Errorf("health says %q", text)
	}
	found := status.Problems{{Kind: status.ProblemCalls, Text: "too many"}}
	if s := p.Status(found); s.Healthy || !s.Problems.Has(status.ProblemCalls) || !s.Problems.Has(status.ProblemConfig) {
		t.Errorf("the status is %+v", s)
	}
	if config, _ := p.Defaults(); len(config) != 1 {
		t.Errorf("the defaults of links are %v", config)
	}
}

func TestNoSecretOfTheProcessIsTold(t *testing.T) {
	var log testkit.Log
	p := start(t, Options{
		Log: log.Logger(), Config: map[string]string{"sasl_password": "of-the-config"}, Hide: []string{"of-the-lattice"},
		Getenv: func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "authorization=of-the-collector"}[name]
		},
	})
	p.Configure(map[string]string{"sasl_password": "of-the-next-config"})
	for _, secret := range []string{"of-the-config", "of-the-lattice", "of-the-collector", "of-the-next-config"} {
		p.Log.Warn("somebody says " + secret)
		if found := p.Status(status.Problems{{Text: "it is " + secret}}); strings.Contains(found.Message, secret) {
			t.Errorf("the status tells %s", secret)
		}
		if log.Contains(secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}
