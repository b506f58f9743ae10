package provider

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// The original provider is no member of its group: it commits plain offsets, without a text of ours beside them.
func TestAGroupIsTakenOverAtTheOffsetsThatAnotherClientCommitted(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	manual := testkit.NewClient(t, b.kafka.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	const group, records = "orders-mailer", 6
	for partition := range int32(3) {
		for i := range records {
			manual.Produce(&kgo.Record{Topic: "in", Partition: partition, Value: fmt.Appendf(nil, "%d/%d", partition, i)})
		}
	}
	for partition, offset := range map[int32]int64{0: 4, 1: records, 2: 0} {
		b.kc.CommitOffset(group, "in", partition, offset)
	}
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	// By start=latest, which says nothing where there are offsets.
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "consumer_group", group, "start", "latest")))
	p.WaitHealthy()
	b.kc.WaitDrained(group, "in")
	want := []string{"0/4", "0/5", "2/0", "2/1", "2/2", "2/3", "2/4", "2/5"}
	if got := values(b.kc.Read("in.reply", len(want))); !slices.Equal(got, want) || c.Calls() != len(want) {
		t.Errorf("%d calls, echoed %v, want %v", c.Calls(), got, want)
	}
	p.Shutdown()
}
