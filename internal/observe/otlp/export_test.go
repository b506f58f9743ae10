package otlp

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/collector"
)

func TestAllSignalsArriveOverBothProtocols(t *testing.T) {
	const token = "Bearer s3cret-token"
	for name, tc := range map[string]struct {
		protocol, compression string
		options               collector.Options
	}{
		"http":                {"Http", "", collector.Options{}},
		"http, TLS, packed":   {"HTTP", "gzip", collector.Options{TLS: true, Token: token}},
		"grpc":                {"Grpc", "", collector.Options{GRPC: true}},
		"grpc, TLS, packed":   {"grpc", "gzip", collector.Options{GRPC: true, TLS: true, Token: token}},
		"grpc, packed, token": {"grpc", "gzip", collector.Options{GRPC: true, Token: token}},
	} {
		t.Run(name, func(t *testing.T) {
			c := collector.New(t, tc.options)
			s := sourcesFor(c, tc.protocol)
			s.Config = map[string]string{"otel_exporter_otlp_compression": tc.compression}
			s.Secrets = map[string]settings.Secret{"otel_exporter_otlp_headers": settings.NewSecret("authorization=" +
				strings.ReplaceAll(token, " ", "%20"))}
			f := start(t, s)

			ctx, span := f.TracerProvider().Tracer("test").Start(t.Context(), "a span")
			base := testkit.Log{}
			log := f.Logger(base.Logger())
			log.With("link", "echo/default").InfoContext(ctx, "a line", "n", 7)
			span.End()
			counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "things_total", Help: "Things."}, []string{"kind"})
			f.registry.MustRegister(counter)
			counter.WithLabelValues("good").Add(3)
			flushed(t, f)

			if got := c.Spans(); len(got) != 1 || got[0].Name != "a span" {
				t.Errorf("spans %v", got)
			}
			line := c.WaitLog("a line")
			if a := collector.Attributes(line.Attributes); a["link"] != "echo/default" || a["n"] != int64(7) {
				t.Errorf("attributes of the line: %v", a)
			}
			if id := span.SpanContext().TraceID(); string(line.TraceId) != string(id[:]) {
				t.Errorf("the line names trace %x, want %s", line.TraceId, id)
			}
			if !base.Contains("a line") {
				t.Errorf("the line is not on standard error: %s", base.String())
			}
			m := c.WaitMetric("things_total")
			points := m.GetSum().GetDataPoints()
			if m.Description != "Things." || !m.GetSum().IsMonotonic || len(points) != 1 || points[0].GetAsDouble() != 3 ||
				collector.Attributes(points[0].Attributes)["kind"] != "good" {
				t.Errorf("metric %v", m)
			}
			who := collector.Attributes(c.ResourceMetrics()[0].Resource.Attributes)
			for key, want := range map[string]string{
				"service.name": "messaging-kafka", "service.version": "1.2.3", "service.instance.id": "i",
				"wasmcloud.lattice": "l", "wasmcloud.provider.id": "p", "wasmcloud.host.id": "h",
			} {
				if who[key] != want {
					t.Errorf("resource %s = %v, want %s", key, who[key], want)
				}
			}
			if n := f.counted(traces, "sent"); n != 1 {
				t.Errorf("%d spans are counted as sent", n)
			}
			if f.log.Contains("s3cret") || strings.Contains(f.log.String(), "level=WARN") {
				t.Errorf("log: %s", f.log.String())
			}
		})
	}
}

func TestLinesBelowTheLevelOfTheLogAreNotSent(t *testing.T) {
	c := collector.New(t, collector.Options{})
	f := start(t, sourcesFor(c, "http"))
	out := &testkit.Log{}
	log := f.Logger(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Info("quiet")
	log.WithGroup("g").Warn("loud", "k", "v")
	flushed(t, f)
	loud := c.WaitLog("loud")
	if loud.SeverityNumber != 13 || loud.SeverityText != "WARN" {
		t.Errorf("severity %d %s, want that of a warning", loud.SeverityNumber, loud.SeverityText)
	}
	for _, rl := range c.ResourceLogs() {
		for _, sl := range rl.ScopeLogs {
			if len(sl.LogRecords) != 1 {
				t.Errorf("%d lines were sent", len(sl.LogRecords))
			}
		}
	}
}

func TestNothingIsOnByDefaultAndNothingCostsNothing(t *testing.T) {
	f := start(t, Sources{Host: HostConfig{Protocol: "Http", TraceLevel: "info"}})
	if f.Export != nil || f.TracerProvider() != nil {
		t.Fatal("something is on")
	}
	base := quiet()
	if f.Logger(base) != base {
		t.Error("the log is not the one it was")
	}
	f.Flush(t.Context())
	if f.log.String() != "" {
		t.Errorf("log: %s", f.log.String())
	}
}

func TestEachSignalGoesItsOwnWay(t *testing.T) {
	a, b := collector.New(t, collector.Options{}), collector.New(t, collector.Options{GRPC: true})
	off := false
	s := sourcesFor(a, "http")
	s.Host.EnableMetrics = &off
	s.Config = map[string]string{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": b.URL()}
	f := start(t, s)
	f.span("one")
	f.Logger(quiet()).Error("dropped with its handler")
	out := &testkit.Log{}
	f.Logger(out.Logger()).Info("two")
	flushed(t, f)
	b.WaitLog("two")
	if len(a.Spans()) != 1 || len(a.ResourceLogs()) != 0 || len(b.Spans()) != 0 {
		t.Error("signals went to the wrong collector")
	}
	if len(a.ResourceMetrics())+len(b.ResourceMetrics()) != 0 {
		t.Error("metrics are off and were sent")
	}
}

func TestTextThatIsNoUTF8LosesNothing(t *testing.T) {
	c := collector.New(t, collector.Options{})
	f := start(t, sourcesFor(c, "http"))
	out := &testkit.Log{}
	f.Logger(out.Logger()).Info("broken \xff text", "k", "\xfe")
	counter := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "g"}, func() float64 { return 1 })
	f.registry.MustRegister(counter)
	flushed(t, f)
	if got := c.WaitLog("broken \uFFFD text"); collector.Attributes(got.Attributes)["k"] != "\uFFFD" {
		t.Errorf("attributes %v", got.Attributes)
	}
}

func TestAHistogramKeepsItsBuckets(t *testing.T) {
	c := collector.New(t, collector.Options{})
	f := start(t, sourcesFor(c, "http"))
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h_seconds", Buckets: []float64{1, 2, 4}})
	f.registry.MustRegister(h)
	for _, v := range []float64{0.5, 1, 3, 9, 9} {
		h.Observe(v)
	}
	flushed(t, f)
	m := c.WaitMetric("h_seconds").GetHistogram()
	p := m.DataPoints[0]
	if m.AggregationTemporality != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE ||
		!slices.Equal(p.ExplicitBounds, []float64{1, 2, 4}) || !slices.Equal(p.BucketCounts, []uint64{2, 0, 1, 2}) ||
		p.Count != 5 || p.GetSum() != 22.5 || p.StartTimeUnixNano == 0 || p.TimeUnixNano < p.StartTimeUnixNano {
		t.Errorf("histogram %v", m)
	}
}

func TestShutdownSendsWhatWaits(t *testing.T) {
	c := collector.New(t, collector.Options{GRPC: true})
	f := start(t, sourcesFor(c, "grpc"))
	for range 700 { // more than a batch
		f.span("s")
	}
	out := &testkit.Log{}
	f.Logger(out.Logger()).Info("last words")
	f.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "up"}, func() float64 { return 1 }))
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	f.Shutdown(ctx)
	if n := len(c.Spans()); n != 700 {
		t.Errorf("%d spans came, want 700", n)
	}
	c.WaitLog("last words")
	c.WaitMetric("up")
}
