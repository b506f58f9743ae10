package telemetry

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"messaging-kafka/internal/dispatch"
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
	l, other := m.Link("echo", "default"), m.Link("other", "default")
	l.Delivered(dispatch.OutcomeDone, time.Millisecond)
	l.Delivered(dispatch.OutcomeRetry, time.Millisecond)
	l.Delivered(dispatch.OutcomeSkipped, time.Millisecond)
	l.Delivered(dispatch.OutcomeDone, time.Millisecond)
	l.Buried(true)
	l.Buried(false)
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
# HELP messaging_kafka_buried_records_total Records that no delivery could help: dead-lettered, or skipped for want of a dead_letter_topic.
# TYPE messaging_kafka_buried_records_total counter
messaging_kafka_buried_records_total{component="echo",fate="dead_lettered",link="default"} 1
messaging_kafka_buried_records_total{component="echo",fate="skipped",link="default"} 1
# HELP messaging_kafka_deliveries_total Calls of the component, by how they ended; skipped are tombstones that cause none.
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
	l.Remove()
	for _, name := range []string{"fetched_records_total", "missed_records_total", "delivery_seconds", "requests_total", "commits_total"} {
		n, err := testutil.GatherAndCount(m.Registry, names+name)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"requests_total": 0, "commits_total": 0}[name]; name == "requests_total" || name == "commits_total" {
			if n != want {
				t.Errorf("%s has %d series after its link went", name, n)
			}
		} else if n != 1 {
			t.Errorf("%s has %d series, want the other link's only", name, n)
		}
	}
}
