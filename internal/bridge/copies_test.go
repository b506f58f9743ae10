package bridge

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestCopiesOnOneMachineHaveTransactionsOfTheirOwn: with one transactional.id for both, each would put the other's
// producer out of use for ever.
func TestCopiesOnOneMachineHaveTransactionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	const partitions, n = 2, 40
	k := testkit.Kfake(t)
	k.Topic("orders", partitions)
	k.Topic("bills", 1)
	client := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	app := newApplication(t, func(r *record.Record) record.Outcome {
		return record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{outgoing("bills", "for "+string(r.Value))}}
	})
	content := file(k.Brokers(), reads("orders", app.URL, "transactions: true"))
	copies := []*bench{start(t, content, nil), start(t, "listen: 127.0.0.1:0\n"+content, nil)}
	client.WaitMembers("bridge.orders", len(copies))
	for _, b := range copies {
		b.await(healthy)
	}
	var want []string
	for i := range n {
		client.Produce(&kgo.Record{Topic: "orders", Partition: int32(i % partitions), Value: fmt.Append(nil, i)})
		want = append(want, fmt.Sprint("for ", i))
	}
	client.WaitDrained("bridge.orders", "orders")
	reader := testkit.NewClient(t, k.Brokers(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var got []string
	for _, r := range reader.Read("bills", n) {
		got = append(got, string(r.Value))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the bills are %q", got)
	}
	for i, b := range copies {
		if b.log.Contains("fenced") || b.log.Contains("consuming is begun anew") {
			t.Errorf("copy %d was put out of use:\n%s", i+1, b.log)
		}
	}
}
