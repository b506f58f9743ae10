//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/collector"
)

// A host passes its own OTEL_* on to providers, and nothing else of its environment.
func TestTelemetryOfAProviderInARealHostReachesACollector(t *testing.T) {
	c := collector.New(t, collector.Options{GRPC: true})
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": c.URL(),
		"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500",
	} {
		t.Setenv(name, value)
	}
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}),
		testkit.HostOptions{Lattice: "telemetry", Traces: true})
	s.component("records", "records-echo")
	s.topics("o.in", "o.sent")
	s.fromComponent("records")
	s.toHandler("records", "handle", "o.in")
	s.kafka.Produce(traced(1, "o.in", "!bare:!send:o.sent:x"))

	spans := map[string]*tracepb.Span{}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		for _, span := range c.Spans() {
			if fmt.Sprintf("%x", span.TraceId) == traceID(1) {
				spans[span.Name] = span
			}
		}
		for _, name := range []string{"process o.in", "send o.sent"} {
			if spans[name] == nil {
				return fmt.Errorf("no span %q came in the record's trace; all spans: %v", name, c.Spans())
			}
		}
		return nil
	})
	out := s.kafka.Read("o.sent", 1)[0]
	send := spans["send o.sent"]
	want := fmt.Sprintf("00-%s-%x-01", traceID(1), send.SpanId)
	if got, _ := headerOf(out, "traceparent"); got != want {
		t.Errorf("what the component published is below %s, want %s", got, want)
	}
	// Between the two there is the host's own span of the component's call.
	if process := spans["process o.in"]; string(send.ParentSpanId) == string(process.SpanId) ||
		len(send.ParentSpanId) == 0 {
		t.Errorf("the send is below %x", send.ParentSpanId)
	}
	c.WaitMetric("messaging_kafka_fetched_records_total")
	c.WaitLog("link ready")
	if who := collector.Attributes(c.ResourceMetrics()[0].Resource.Attributes); who["wasmcloud.lattice"] != "telemetry" ||
		who["wasmcloud.provider.id"] != providerID || who["wasmcloud.host.id"] != s.host.ID() {
		t.Errorf("resource %v", who)
	}
}
