package otlp

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"messaging-kafka/internal/hostdata"
	"messaging-kafka/internal/testkit"
	"messaging-kafka/internal/testkit/collector"
)

func TestMain(m *testing.M) {
	testkit.Main(m)
}

// fixture is an export and what it works with.
type fixture struct {
	*Export
	registry *prometheus.Registry
	log      *testkit.Log
}

// start starts an export that ends with the test.
func start(t *testing.T, s Sources) fixture {
	t.Helper()
	f := fixture{registry: prometheus.NewRegistry(), log: &testkit.Log{}}
	f.Export = Start(Options{
		Sources:  s,
		Identity: Identity{Version: "1.2.3", InstanceID: "i", Lattice: "l", ProviderKey: "p", HostID: "h"},
		Registry: f.registry, Log: f.log.Logger(),
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
	host := hostdata.OTelConfig{EnableObservability: true, Protocol: protocol, ObservabilityEndpoint: c.URL()}
	if c.CAFile() != "" {
		host.AdditionalCAPaths = []string{c.CAFile()}
	}
	return Sources{Host: host}
}

// counted reads the counters of what became of a signal's items.
func (f fixture) counted(t *testing.T, sig signal, result string) int {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "messaging_kafka_otlp_items_total" {
			continue
		}
		for _, m := range family.Metric {
			if m.Label[0].GetValue() == result && m.Label[1].GetValue() == sig.String() {
				return int(m.Counter.GetValue())
			}
		}
	}
	t.Fatalf("%s %s are not counted", sig, result)
	return 0
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

const never = time.Hour
