package telemetry

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

func lag(topic string, partition int32, committed, records int64, seconds float64) status.Partition {
	return status.Partition{Topic: topic, Partition: partition, Committed: committed, Lag: records, LagSeconds: &seconds}
}

func TestGaugesAreAskedForAtTheScrapeAndGoWithTheirLink(t *testing.T) {
	m := NewMetrics()
	now := Snapshot{
		Links: []LinkHealth{{"echo", "default", "wasmcloud:messaging", "target", status.Failing}},
		Consumers: []ConsumerLoad{
			{Component: "echo", Link: "default", InFlight: 2, Waiting: 3, BufferedBytes: 500, OldestUnfinished: 4, CommitAge: 1,
				Held: 1, Partitions: []status.Partition{
					lag("t", 0, 10, 5, 2.5), {Topic: "t", Partition: 1, Committed: -1, Lag: -1}, lag("u", 0, 3, 0, 0),
				}},
			// A link of the same name, for the other package, in another group.
			{Component: "echo", Link: "default", InFlight: 1, OldestUnfinished: 9, FailedCalls: 216, OldestCall: 75, Partitions: []status.Partition{lag("t", 0, 7, 8, 6)}},
		},
		Lattice: LatticeCounts{Connected: true, Reconnects: 2, Calls: 7, Repeats: 1, Failed: 3, RunningCalls: 4},
	}
	m.Ask(func() Snapshot { return now })
	want := `
# HELP messaging_kafka_lag_records Offsets between what the group has committed and the end of what the link may read. Each copy tells of the partitions that it has.
# TYPE messaging_kafka_lag_records gauge
messaging_kafka_lag_records{component="echo",link="default",partition="0",topic="t"} 8
messaging_kafka_lag_records{component="echo",link="default",partition="0",topic="u"} 0
# HELP messaging_kafka_committed_offset Offset that the group has committed.
# TYPE messaging_kafka_committed_offset gauge
messaging_kafka_committed_offset{component="echo",link="default",partition="0",topic="t"} 7
messaging_kafka_committed_offset{component="echo",link="default",partition="0",topic="u"} 3
# HELP messaging_kafka_in_flight_records Records that are with the component.
# TYPE messaging_kafka_in_flight_records gauge
messaging_kafka_in_flight_records{component="echo",link="default"} 3
# HELP messaging_kafka_oldest_unfinished_seconds Time since the record was read that has been unfinished for longest; 0 where there is none.
# TYPE messaging_kafka_oldest_unfinished_seconds gauge
messaging_kafka_oldest_unfinished_seconds{component="echo",link="default"} 9
# HELP messaging_kafka_failing_calls Calls of the component in a row that have failed, where there are enough of them for the state failing; else 0.
# TYPE messaging_kafka_failing_calls gauge
messaging_kafka_failing_calls{component="echo",link="default"} 216
# HELP messaging_kafka_oldest_call_seconds Time since the call of the component began that has been under way for longest; 0 where there is none.
# TYPE messaging_kafka_oldest_call_seconds gauge
messaging_kafka_oldest_call_seconds{component="echo",link="default"} 75
# HELP messaging_kafka_link_state 1 for the state that a link is in, 0 for the others: healthy, unhealthy, failing, starting, stopping, paused.
# TYPE messaging_kafka_link_state gauge
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="failing"} 1
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="healthy"} 0
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="paused"} 0
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="starting"} 0
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="stopping"} 0
messaging_kafka_link_state{component="echo",direction="target",link="default",package="wasmcloud:messaging",state="unhealthy"} 0
# HELP messaging_kafka_nats_reconnects_total Times that the connection to the lattice came back.
# TYPE messaging_kafka_nats_reconnects_total counter
messaging_kafka_nats_reconnects_total 2
`
	names := []string{"lag_records", "committed_offset", "in_flight_records", "oldest_unfinished_seconds", "link_state",
		"failing_calls", "oldest_call_seconds", "nats_reconnects_total"}
	for i := range names {
		names[i] = namespace + "_" + names[i]
	}
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	now = Snapshot{Healthy: true}
	for _, name := range names[:7] {
		if n, err := testutil.GatherAndCount(m.Registry, name); err != nil || n != 0 {
			t.Errorf("%s has %d series of a link that is gone (%v)", name, n, err)
		}
	}
}

func TestEveryDeclaredMetricIsThereAndNoOther(t *testing.T) {
	m := NewMetrics()
	m.Ask(func() Snapshot {
		return Snapshot{Links: []LinkHealth{{"c", "l", "p", "target", "healthy"}}, Consumers: []ConsumerLoad{
			{Component: "c", Link: "l", Partitions: []status.Partition{lag("t", 0, 1, 1, 1)}},
		}}
	})
	for d, v := range m.counters {
		v.WithLabelValues(make([]string, len(d.labels))...)
	}
	for d, v := range m.histograms {
		v.WithLabelValues(make([]string, len(d.labels))...)
	}
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace) {
			types[f.GetName()] = strings.ToLower(f.GetType().String())
		}
	}
	for _, d := range declared {
		if got := types[d.fullName()]; got != string(d.kind) {
			t.Errorf("%s is a %q, declared as a %s", d.fullName(), got, d.kind)
		}
		delete(types, d.fullName())
	}
	if len(types) > 0 {
		t.Errorf("metrics that are not declared: %v", types)
	}
}
