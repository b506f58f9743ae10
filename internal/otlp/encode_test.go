package otlp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"messaging-kafka/internal/testkit/collector"
)

// keeper keeps records and hands them on.
type keeper struct {
	sdklog.Exporter
	records []sdklog.Record
}

func (k *keeper) Export(ctx context.Context, records []sdklog.Record) error {
	for _, r := range records {
		k.records = append(k.records, r.Clone())
	}
	return k.Exporter.Export(ctx, records)
}

func TestLogsAreWrittenAsOpenTelemetrysOwnExporterWritesThem(t *testing.T) {
	c := collector.New(t, collector.Options{})
	official, err := otlploghttp.New(t.Context(), otlploghttp.WithEndpointURL(c.URL()+"/v1/logs"))
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{Exporter: official}
	provider := sdklog.NewLoggerProvider(
		sdklog.WithResource(newResource(Identity{Version: "1", Lattice: "l"}, nil)),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(k, sdklog.WithExportInterval(never))),
	)
	log := slog.New(otelslog.NewHandler("a", otelslog.WithLoggerProvider(provider), otelslog.WithVersion("v")))
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	log.Info("plain")
	log.InfoContext(ctx, "all kinds", "text", "x", "int", -1, "uint", uint64(1)<<63, "float", 1.5, "bool", true, "time", time.Unix(1, 2),
		"duration", time.Second, "error", errors.New("e"), "nil", nil, "bytes", []byte{1, 2}, "strings", []string{"a", "b"},
		"ints", []int{1, 2}, "map", map[string]any{"k": 1}, slog.Group("g", "k", "v"), "struct", struct{ A int }{1})
	log.With("w", 1).WithGroup("g").Error("grouped", "k", "v")
	slog.New(otelslog.NewHandler("b", otelslog.WithLoggerProvider(provider))).Debug("another scope")
	for level := slog.Level(-8); level <= 12; level++ {
		log.Log(t.Context(), level, "level")
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := encodeLogs(k.records).ResourceLogs
	if diff := compare(t, got, c.ResourceLogs()); diff != "" {
		t.Error(diff)
	}
	if len(k.records) != 25 {
		t.Errorf("%d records", len(k.records))
	}
}

func TestMetricsAreWrittenAsOpenTelemetrysOwnBridgeAndExporterWriteThem(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "Counts."}, []string{"b", "a"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1, 2}})
	empty := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "none", Buckets: []float64{1}})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.5: 0.05}})
	untyped := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "u"}, func() float64 { return 4 })
	registry.MustRegister(counter, gauge, histogram, empty, summary, untyped)
	counter.WithLabelValues("x", "y").Add(1.5)
	counter.WithLabelValues("x", "z").Inc()
	gauge.Set(-2)
	for _, v := range []float64{0.5, 1.5, 3, 4} {
		histogram.Observe(v)
		summary.Observe(v)
	}

	c := collector.New(t, collector.Options{})
	official, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(c.URL()+"/v1/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	res := newResource(Identity{Version: "1"}, nil)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(
		sdkmetric.NewPeriodicReader(official, sdkmetric.WithInterval(never), sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(registry)))),
	))
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := c.ResourceMetrics()[0]

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{resource: res, started: time.Unix(1, 0), scope: &commonpb.InstrumentationScope{Name: want.ScopeMetrics[0].Scope.Name}}
	data, points, err := m.encode(families, time.Unix(1, 0))
	if err != nil || points != 7 {
		t.Fatalf("%d points, %v", points, err)
	}
	got := data.ResourceMetrics[0]
	// Both say when they looked, which is not at the same time, and from when an untyped value counts.
	for _, rm := range []*metricspb.ResourceMetrics{got, want} {
		for _, one := range rm.ScopeMetrics[0].Metrics {
			for _, p := range slices.Concat(one.GetSum().GetDataPoints(), one.GetGauge().GetDataPoints()) {
				p.TimeUnixNano, p.Exemplars = 1, nil
			}
			for _, p := range one.GetHistogram().GetDataPoints() {
				p.TimeUnixNano, p.Exemplars = 1, nil
			}
			for _, p := range one.GetSummary().GetDataPoints() {
				p.TimeUnixNano = 1
			}
		}
	}
	if diff := compare(t, []*metricspb.ResourceMetrics{got}, []*metricspb.ResourceMetrics{want}); diff != "" {
		t.Error(diff)
	}
}

// compare compares messages as they are after their way over the wire.
func compare[M proto.Message](t *testing.T, got, want []M) string {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			return "got\n" + prototext.Format(got[i]) + "\nwant\n" + prototext.Format(want[i])
		}
	}
	return ""
}

func TestMetricsThatCannotBeWrittenDoNotLoseTheOthers(t *testing.T) {
	c := collector.New(t, collector.Options{})
	f := start(t, sourcesFor(c, "http"))
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", NativeHistogramBucketFactor: 1.1})
	native.Observe(1)
	f.registry.MustRegister(native, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fine"}, func() float64 { return 1 }))
	flushed(t, f)
	c.WaitMetric("fine")
	if !f.log.Contains("native is a native histogram") {
		t.Errorf("log: %s", f.log.String())
	}
}

// FuzzAnswers looks for an answer of a collector that the client cannot stand.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{}, "", "")
	f.Add([]byte("\x0a\x04\x08\x01\x12\x00"), "8", "CAgSBGJ1c3kaKAoidHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxICCgA")
	f.Fuzz(func(t *testing.T, body []byte, code, details string) {
		recorder := httptest.NewRecorder()
		recorder.Code = http.StatusServiceUnavailable
		resp := recorder.Result()
		resp.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Retry-After": {code}}
		errs := []error{judgeExport(body), judgeHTTP(resp, body)}
		resp.Trailer = http.Header{"Grpc-Status": {code}, "Grpc-Message": {details}, "Grpc-Status-Details-Bin": {details}}
		errs = append(errs, judgeGRPC(resp, body))
		for _, err := range errs {
			if err == nil {
				continue
			}
			if text := err.Error(); len(text) > maxText+200 || strings.ToValidUTF8(text, "") != text {
				t.Errorf("error of %d bytes: %q", len(text), text)
			}
			var again *failure
			if errors.As(err, &again) && (again.after < 0 || again.after > 20*time.Hour) {
				t.Errorf("wait for %v", again.after)
			}
		}
	})
}
