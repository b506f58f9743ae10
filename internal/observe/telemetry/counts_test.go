package telemetry

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func TestCountsAreThoseOfTheMetrics(t *testing.T) {
	m := NewMetrics()
	a, b := m.Use("a", "default"), m.Use("b", "default")
	a.Fetched(3, 300)
	a.Fetched(2, 200)
	a.Rebalanced()
	a.Missed(7)
	a.Delivered(record.Done, 20*time.Millisecond)
	a.Delivered(record.Done, 40*time.Millisecond)
	a.Delivered(record.Skipped, 0)
	a.Redelivered()
	a.RecordGivenUp(true)
	a.RecordGivenUp(false)
	a.RecordGivenUp(false)
	a.Committed(errors.New("no"))
	b.Stored(4, 40)
	b.Published("ok", time.Millisecond)
	b.Published("too_large", time.Millisecond)
	got, err := m.Counts()
	if err != nil {
		t.Fatal(err)
	}
	handle, publish := got[LinkName{"a", "default"}].HandleSeconds, got[LinkName{"b", "default"}].PublishSeconds
	if handle == nil || handle.Count != 2 || handle.Sum < .059 || handle.Sum > .061 || publish == nil ||
		publish.Count != 2 {
		t.Fatalf("handle %+v, publish %+v", handle, publish)
	}
	if p := handle.Quantile(.99); *p > .05 || *p < .025 {
		t.Errorf("p99 is %v", *p)
	}
	want := map[LinkName]status.Counters{
		{"a", "default"}: {RecordsIn: 5, BytesIn: 500, Rebalances: 1, Missed: 7, DeadLetters: 1, Skipped: 2, Redeliveries: 1,
			Deliveries: map[string]float64{"done": 2, "skipped": 1}, HandleSeconds: handle},
		{"b", "default"}: {RecordsOut: 4, BytesOut: 40, Publishes: map[string]float64{"ok": 1, "too_large": 1}, PublishSeconds: publish},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	a.Release()
	if got, err := m.Counts(); err != nil || len(got) != 1 {
		t.Errorf("a link that is gone counts: %+v, %v", got, err)
	}
}
