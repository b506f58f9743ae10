package telemetry

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func TestTheLogHasTheHostsLevelsAndShape(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"error": slog.LevelError, "WARN": slog.LevelWarn, "info": slog.LevelInfo, "debug": slog.LevelDebug,
		"trace": LevelTrace, "critical": LevelCritical, "": slog.LevelInfo, "loud": slog.LevelInfo,
	} {
		if got := Level(name); got != want {
			t.Errorf("level %q = %v, want %v", name, got, want)
		}
	}
	var b strings.Builder
	log := NewLogger(&b, "trace", true)
	log.Log(t.Context(), LevelTrace, "fine", "link", "echo/default")
	if out := b.String(); !strings.Contains(out, `"level":"TRACE"`) || !strings.Contains(out, `"link":"echo/default"`) {
		t.Errorf("structured log = %s", out)
	}
	b.Reset()
	NewLogger(&b, "warn", false).Info("quiet")
	if b.Len() > 0 {
		t.Errorf("info was logged at level warn: %s", &b)
	}
}

func TestMetricsAreCountedByLinkAndGoWithIt(t *testing.T) {
	m := NewMetrics()
	l, other := m.Use("echo", "default"), m.Link("other", "default")
	l.Delivered(record.Done, time.Millisecond)
	l.Delivered(record.Retry, time.Millisecond)
	l.Delivered(record.Skipped, time.Millisecond)
	l.Delivered(record.Done, time.Millisecond)
	l.RecordGivenUp(true)
	l.RecordGivenUp(false)
	l.Fetched(3, 300)
	l.Rebalanced()
	l.Missed(7)
	l.Committed(nil)
	l.Committed(errors.New("no"))
	l.Published("ok", time.Millisecond)
	l.Answered(time.Millisecond)
	l.TimedOut()
	l.Late()
	other.Fetched(1, 1)
	const names = "messaging_kafka_"
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(`
# HELP messaging_kafka_buried_records_total Records that no delivery could help: dead_lettered, or skipped for want of a dead_letter_topic.
# TYPE messaging_kafka_buried_records_total counter
messaging_kafka_buried_records_total{component="echo",fate="dead_lettered",link="default"} 1
messaging_kafka_buried_records_total{component="echo",fate="skipped",link="default"} 1
messaging_kafka_buried_records_total{component="other",fate="dead_lettered",link="default"} 0
messaging_kafka_buried_records_total{component="other",fate="skipped",link="default"} 0
# HELP messaging_kafka_deliveries_total Deliveries of records to the component, by how they ended; skipped are those that cause no call: tombstones, and what the filter keeps back.
# TYPE messaging_kafka_deliveries_total counter
messaging_kafka_deliveries_total{component="echo",link="default",outcome="done"} 2
messaging_kafka_deliveries_total{component="echo",link="default",outcome="given_up"} 0
messaging_kafka_deliveries_total{component="echo",link="default",outcome="reject"} 0
messaging_kafka_deliveries_total{component="echo",link="default",outcome="retry"} 1
messaging_kafka_deliveries_total{component="echo",link="default",outcome="skipped"} 1
messaging_kafka_deliveries_total{component="echo",link="default",outcome="unavailable"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="done"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="given_up"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="reject"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="retry"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="skipped"} 0
messaging_kafka_deliveries_total{component="other",link="default",outcome="unavailable"} 0
# HELP messaging_kafka_fetched_records_total Records read from Kafka.
# TYPE messaging_kafka_fetched_records_total counter
messaging_kafka_fetched_records_total{component="echo",link="default"} 3
messaging_kafka_fetched_records_total{component="other",link="default"} 1
`), names+"buried_records_total", names+"deliveries_total", names+"fetched_records_total"); err != nil {
		t.Error(err)
	}
	l.Release()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, f := range families {
		for _, series := range f.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetValue() == "echo" {
					t.Errorf("%s has a series of the link that went", f.GetName())
				}
				if label.GetValue() == "other" {
					left++
				}
			}
		}
	}
	if left == 0 {
		t.Error("the other link's series went too")
	}
}

// seriesOf counts the series of a component's links.
func seriesOf(t *testing.T, m *Metrics, component string) int {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, s := range f.GetMetric() {
			for _, label := range s.GetLabel() {
				if label.GetName() == "component" && label.GetValue() == component {
					n++
				}
			}
		}
	}
	return n
}

func TestWhatEndsAfterItsLinkLeavesNoMetricsBehind(t *testing.T) {
	m := NewMetrics()
	l := m.Use("echo", "passing")
	if m.Link("echo", "passing") != l {
		t.Error("the same link has two sets of metrics")
	}
	l.Release()
	for name, late := range map[string]func(){
		"a publish":               func() { l.Published("ok", time.Millisecond) },
		"a publish that failed":   func() { l.Published("timed_out", time.Millisecond) },
		"an answer":               func() { l.Answered(time.Millisecond) },
		"a request without one":   func() { l.TimedOut() },
		"an answer that was late": func() { l.Late() },
		"a dead letter":           func() { l.RecordGivenUp(true) },
		"a transaction":           func() { l.Transaction(nil, time.Millisecond, 1, 1) },
		"an aborted transaction":  func() { l.Transaction(errors.New("no"), time.Millisecond, 1, 1) },
		"a delivery":              func() { l.Delivered(record.Done, time.Millisecond) },
		"a commit":                func() { l.Committed(nil) },
	} {
		if late(); seriesOf(t, m, "echo") > 0 {
			t.Fatalf("%s that ended after its link has made series anew", name)
		}
	}
	again := m.Use("echo", "passing")
	if again == l {
		t.Fatal("the link that came again has the metrics of the one that went")
	}
	n := seriesOf(t, m, "echo")
	l.Release()
	if left := seriesOf(t, m, "echo"); left != n || n == 0 {
		t.Errorf("the link that came again had %d series, and %d after the one that went was released once more", n, left)
	}
}

func TestALinkHasNoMoreSeriesThanTheDocumentsSay(t *testing.T) {
	m := NewMetrics()
	m.Ask(func() Snapshot {
		return Snapshot{Links: []LinkHealth{{"echo", "default", "p", "target", "healthy"}},
			Consumers: []ConsumerLoad{{Component: "echo", Link: "default"}}}
	})
	l := m.Link("echo", "default")
	if n := exposed(t, m); n < 50 || n > 75 {
		t.Errorf("a link has %d series, docs/metrics.md says about 70", n)
	}
	before := exposed(t, m)
	l.Batched(10)
	if n := exposed(t, m) - before; n < 10 || n > 25 {
		t.Errorf("a link that takes batches has %d series more, docs/metrics.md says some 20", n)
	}
}

// exposed counts series of links as Prometheus sees them: a histogram is a series for each bucket, and two more.
func exposed(t *testing.T, m *Metrics) int {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, one := range f.GetMetric() {
			for _, label := range one.GetLabel() {
				if label.GetName() != "component" {
					continue
				}
				n++
				if h := one.GetHistogram(); h != nil {
					n += len(h.GetBucket()) + 2 // with the bucket of infinity
				}
			}
		}
	}
	return n
}
