package telemetry

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRequestsAreCountedByCallerAndStatus(t *testing.T) {
	m := NewMetrics()
	r := m.Requests()
	for range 3 {
		r.Began()
	}
	r.Ended("shop", "topics", 200, 100, 3*time.Millisecond)
	r.Ended("", "topics", 401, 0, time.Millisecond)
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(`
# HELP messaging_kafka_http_request_bytes_total Bytes of the bodies of requests that were read.
# TYPE messaging_kafka_http_request_bytes_total counter
messaging_kafka_http_request_bytes_total{caller=""} 0
messaging_kafka_http_request_bytes_total{caller="shop"} 100
# HELP messaging_kafka_http_running_requests Requests to the bridge that are being answered.
# TYPE messaging_kafka_http_running_requests gauge
messaging_kafka_http_running_requests 1
`), "messaging_kafka_http_request_bytes_total", "messaging_kafka_http_running_requests"); err != nil {
		t.Error(err)
	}
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "messaging_kafka_http_")
		if !ours || name == "request_bytes_total" || name == "running_requests" {
			continue
		}
		for _, series := range f.GetMetric() {
			var labels []string
			for _, l := range series.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			found[name+" "+strings.Join(labels, " ")] = true
		}
	}
	want := []string{
		"request_seconds endpoint=topics",
		"requests_total caller= endpoint=topics status=401",
		"requests_total caller=shop endpoint=topics status=200",
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("counted %q", got)
	}
}
