package otlp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/collector"
)

func TestMain(m *testing.M) {
	testkit.Main(m)
}

// fixture is an export and what it works with.
type fixture struct {
	*Export
	registry *prometheus.Registry
	log      *testkit.Log
	counts   *counts
}

// counts are what became of items, by signal and result.
type counts struct {
	mu sync.Mutex
	n  map[[2]string]int
}

func (c *counts) add(signal, result string, items int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[[2]string{signal, result}] += items
}

// start starts an export that ends with the test.
func start(t *testing.T, s Sources) fixture {
	t.Helper()
	f := fixture{registry: prometheus.NewRegistry(), log: &testkit.Log{}, counts: &counts{n: map[[2]string]int{}}}
	f.Export = Start(Options{
		Sources:  s,
		Identity: Identity{Version: "1.2.3", InstanceID: "i", Lattice: "l", ProviderKey: "p", HostID: "h"},
		Metrics:  f.registry, Count: f.counts.add, Log: f.log.Logger(),
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), collector.Patience)
		defer cancel()
		f.Shutdown(ctx)
	})
	return f
}

// sourcesFor is the otel_config of a host that observes by way of a collector.
func sourcesFor(c *collector.Collector, protocol string) Sources {
	host := HostConfig{EnableObservability: true, Protocol: protocol, ObservabilityEndpoint: c.URL()}
	if c.CAFile() != "" {
		host.AdditionalCAPaths = []string{c.CAFile()}
	}
	return Sources{Host: host}
}

// counted tells what became of a signal's items.
func (f fixture) counted(sig signal, result string) int {
	f.counts.mu.Lock()
	defer f.counts.mu.Unlock()
	return f.counts.n[[2]string{sig.String(), result}]
}

func (f fixture) span(name string) {
	_, span := f.TracerProvider().Tracer("test").Start(context.Background(), name)
	span.End()
}

func flushed(t *testing.T, f fixture) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	f.Flush(ctx)
	if err := ctx.Err(); err != nil {
		t.Fatalf("flushing: %v", err)
	}
}

var errTest = errors.New("it went wrong")

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
