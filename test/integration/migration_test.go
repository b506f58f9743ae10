package integration

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// plainReader commits and reads the offsets of a group as clients do that are no members of it, by the versions of the
// protocol that the library of the original provider speaks (OffsetCommit 1 and OffsetFetch 1, gone from Kafka 4.0 on).
type plainReader struct {
	t     *testing.T
	cl    *testkit.Client
	group string
	topic string
}

func newPlainReader(t *testing.T, brokers []string, group, topic string) *plainReader {
	t.Helper()
	old := kversion.V3_9_0()
	for _, key := range []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetFetch} {
		old.SetMaxKeyVersion(key.Int16(), 1)
	}
	return &plainReader{t: t, cl: testkit.NewClient(t, brokers, kgo.MaxVersions(old)), group: group, topic: topic}
}

func (r *plainReader) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), testkit.DefaultTimeout)
}

func (r *plainReader) commit(offsets map[int32]int64) {
	r.t.Helper()
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = r.topic
	for id, offset := range offsets {
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset = id, offset
		topic.Partitions = append(topic.Partitions, partition)
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.Topics = r.group, -1, []kmsg.OffsetCommitRequestTopic{topic}
	// The very first commit in a cluster may come before it has a coordinator for groups.
	testkit.Eventually(r.t, testkit.DefaultTimeout, func() error {
		ctx, cancel := r.context()
		defer cancel()
		resp, err := req.RequestWith(ctx, r.cl.Client)
		if err != nil {
			return fmt.Errorf("committing: %w", err)
		}
		for _, p := range resp.Topics[0].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("committing partition %d: %w", p.Partition, err)
			}
		}
		return nil
	})
}

func (r *plainReader) committed(partitions int) map[int32]int64 {
	r.t.Helper()
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic = r.topic
	for id := range int32(partitions) {
		topic.Partitions = append(topic.Partitions, id)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = r.group, []kmsg.OffsetFetchRequestTopic{topic}
	ctx, cancel := r.context()
	defer cancel()
	resp, err := req.RequestWith(ctx, r.cl.Client)
	if err != nil {
		r.t.Fatalf("reading offsets: %v", err)
	}
	offsets := make(map[int32]int64)
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			r.t.Fatalf("reading the offset of partition %d: %v", p.Partition, err)
		}
		offsets[p.Partition] = p.Offset
	}
	return offsets
}

// numbered makes n records for each partition, with the values partition/offset.
func numbered(topic string, partitions, from, n int) (records []*kgo.Record) {
	for partition := range int32(partitions) {
		for i := range n {
			records = append(records,
				&kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d/%d", partition, from+i)})
		}
	}
	return records
}

// A deployment that goes from the original provider to this one and back, on the newest Kafka that the original
// reaches.
func TestAGroupGoesFromThePlainReaderToThisProviderAndBack(t *testing.T) {
	const partitions, before, after = 3, 10, 2
	r := newRig(t, testkit.RealKafka(t, testkit.KafkaOptions{Version: testkit.Kafka3}).Brokers())
	in := r.topic("in", partitions)
	group := r.lattice + ".mailer"
	manual := testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	manual.Produce(numbered(in, partitions, 0, before)...)
	original := newPlainReader(t, r.brokers, group, in)
	original.commit(map[int32]int64{0: 4, 1: before, 2: 0})

	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	// The original's config as it was, and nothing more.
	r.link("echo", map[string]string{"hosts": strings.Join(r.brokers, ","), "topic": in, "consumer_group": group})
	p := r.start()
	p.WaitHealthy()
	var want []string
	for partition, offset := range map[int]int{0: 4, 1: before, 2: 0} {
		for ; offset < before+after; offset++ {
			want = append(want, fmt.Sprintf("%d/%d", partition, offset))
		}
	}
	manual.Produce(numbered(in, partitions, before, after)...)
	j.waitDone(t, len(want))
	j.checkEach(t, want, true)
	p.stop()

	// What it leaves is plain offsets again: the old reader goes on right behind.
	ends := map[int32]int64{0: before + after, 1: before + after, 2: before + after}
	if got := original.committed(partitions); !maps.Equal(got, ends) {
		t.Errorf("the old reader finds %v, want %v", got, ends)
	}
}

// The steps that docs/migration.md gives for a reader without a group: the place is set while the old reader still
// runs, so that nothing is skipped in between.
func TestAPlaceThatWasSetBeforeTheFirstStartIsWhereReadingBegins(t *testing.T) {
	k := kafka4(t)
	r := newRig(t, k.Brokers())
	in := r.topic("in", 2)
	manual := testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	manual.Produce(numbered(in, 2, 0, 5)...)
	said := k.Tool(t, "consumer-groups", "--group", r.group("echo"), "--topic", in, "--reset-offsets",
		"--to-latest", "--execute")
	if got := r.kc.Committed(r.group("echo"), in); !maps.Equal(got, map[int32]int64{0: 5, 1: 5}) {
		t.Fatalf("the tool has set %v:\n%s", got, said)
	}
	manual.Produce(numbered(in, 2, 5, 3)...) // while nobody reads
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in, "start", "latest"))
	p := r.start()
	want := []string{"0/5", "0/6", "0/7", "1/5", "1/6", "1/7"}
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	j.checkEach(t, want, true)
	p.stop()
}

// Offsets are set while the link is away, as docs/operations.md has it: Kafka refuses that for a group with members.
func TestOffsetsAreSetWhileTheLinkIsAway(t *testing.T) {
	k := kafka4(t)
	r := newRig(t, k.Brokers())
	in := r.topic("in", 1)
	r.kc.ProduceText(in, "a", "b", "c")
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	link := r.link("echo", r.config(in))
	p := r.start()
	j.waitDone(t, 3)
	r.kc.WaitDrained(r.group("echo"), in)
	r.host.DeleteLink(link)
	r.kc.WaitMembers(r.group("echo"), 0)
	k.Tool(t, "consumer-groups", "--group", r.group("echo"), "--topic", in, "--reset-offsets", "--to-offset",
		"1", "--execute")
	r.host.PutLink(link)
	j.wait(t, patience, func() error {
		if done := j.done(); done["a"] != 1 || done["b"] != 2 || done["c"] != 2 {
			return fmt.Errorf("handled %v, want a once, b and c twice", done)
		}
		return nil
	})
	r.kc.WaitDrained(r.group("echo"), in)
	offsets := r.kc.Committed(r.group("echo"), in)
	if !maps.Equal(offsets, map[int32]int64{0: 3}) {
		t.Errorf("committed %v", offsets)
	}
	p.stop()
}
