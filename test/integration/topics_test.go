package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// transact produces records in one transaction of their own and ends it.
func (r *rig) transact(cl *testkit.Client, end kgo.TransactionEndTry, records ...*kgo.Record) {
	r.t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		r.t.Fatalf("beginning a transaction: %v", err)
	}
	cl.Produce(records...)
	ctx, cancel := context.WithTimeout(r.t.Context(), testkit.DefaultTimeout)
	defer cancel()
	if err := cl.EndTransaction(ctx, end); err != nil {
		r.t.Fatalf("ending a transaction: %v", err)
	}
}

func TestTransactionsLeaveNoLag(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 2)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in))
	p := r.start()
	producer := testkit.NewClient(t, r.brokers, kgo.TransactionalID(r.lattice))
	var want []string
	for i := range 10 {
		records := keyed(in, fmt.Sprintf("t%d-", i), 20, 20)
		end := kgo.TryCommit
		if i%3 == 2 || i == 9 {
			end = kgo.TryAbort // the last one among them: the topic ends in what nobody may see
		} else {
			want = append(want, valuesOf(records)...)
		}
		r.transact(producer, end, records...)
	}
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	j.checkEach(t, want, true)
	p.stop()
}

func TestCompactionLeavesNoLag(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1, "cleanup.policy", "compact", "segment.ms", "100", "min.cleanable.dirty.ratio", "0.01",
		"delete.retention.ms", "0", "min.compaction.lag.ms", "0")
	// Each turn closes the segment of the one before, which may then be compacted.
	var last []*kgo.Record
	testkit.Eventually(t, patience, func() error {
		r.kc.Produce(keyed(in, fmt.Sprintf("%d-", len(last)), 20, 5)...)
		r.kc.Produce(&kgo.Record{Topic: in, Key: []byte("deleted")})
		end := r.kc.EndOffsets(in)[0]
		last = r.kc.ReadUntil(in, patience, func(rs []*kgo.Record) bool {
			return len(rs) > 0 && rs[len(rs)-1].Offset == end-1
		})
		if int64(len(last)) > end/2 {
			return fmt.Errorf("%d of %d records are still there", len(last), end)
		}
		return nil
	})
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in))
	p := r.start()
	r.kc.WaitDrained(r.group("echo"), in)
	// Compaction may have gone on meanwhile, but it keeps the newest record of each key.
	if calls := j.history(); len(calls) > len(last) {
		t.Errorf("%d calls for the %d records that compaction left", len(calls), len(last))
	}
	newest := make(map[string]string)
	for _, rec := range last {
		newest[string(rec.Key)] = string(rec.Value)
	}
	done := j.done()
	for key, value := range newest {
		if done[value] == 0 {
			t.Errorf("the newest record of key %s, %q, was not handled", key, value)
		}
	}
	p.stop()
}

func TestRecordsThatRetentionTookAreCountedAndPassedOver(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in))
	p := r.start()
	produced := 0
	produce := func(n int) []string {
		records := keyed(in, fmt.Sprintf("from%d-", produced), n, n)
		r.kc.Produce(records...)
		produced += n
		return valuesOf(records)
	}
	want := produce(10)
	j.waitDone(t, 10)
	r.kc.WaitDrained(r.group("echo"), in)
	p.stop()

	want = append(want, produce(50)[30:]...)
	r.kc.DeleteRecords(in, 0, 40)
	p.Restart()
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	if n := p.metric("messaging_kafka_missed_records_total"); n != 30 {
		t.Errorf("%v records are counted as missed, want 30", n)
	}
	if p.logged("records were lost", "records_lost=30", "resumed_at=40") != 1 {
		t.Error("no warning says how many records were lost")
	}
	p.WaitHealthy()
	p.stop()

	// All that was not read yet is gone: there is nothing to handle, and nothing to wait for either.
	produce(20)
	r.kc.DeleteRecords(in, 0, 80)
	p.Restart()
	r.kc.WaitDrained(r.group("echo"), in)
	if n := p.metric("messaging_kafka_missed_records_total"); n != 20 {
		t.Errorf("%v records are counted as missed, want 20", n)
	}
	want = append(want, produce(5)...)
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	j.checkEach(t, want, true)
	p.stop()
}

func TestAPartitionWithoutItsOffsetStandsStillWhereTheLinkSaysSo(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	r.kc.Produce(keyed(in, "v", 20, 20)...)
	r.kc.DeleteRecords(in, 0, 10)
	r.kc.CommitOffset(r.group("echo"), in, 0, 5)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in, "on_offset_out_of_range", "stop"))
	p := r.start()
	p.WaitUnhealthy("link echo/default: ", in+"/0", "offset 5 is not in the log (10 to 20)")
	if calls := j.history(); len(calls) != 0 {
		t.Errorf("%d calls though the partition stands still", len(calls))
	}
	p.stop()
	r.kc.WaitMembers(r.group("echo"), 0)
	// Somebody decides: the offset is set, and all is well again.
	r.kc.CommitOffset(r.group("echo"), in, 0, 12)
	p.Restart()
	j.waitDone(t, 8)
	r.kc.WaitDrained(r.group("echo"), in)
	p.WaitHealthy()
	p.stop()
}

func TestATopicMayGoAndComeBack(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 2)
	other := r.topic("other", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in+","+other, "metadata_max_age", "1s"))
	p := r.start()
	old := keyed(in, "old", 40, 40)
	r.kc.Produce(old...)
	j.waitDone(t, 40)
	r.kc.WaitDrained(r.group("echo"), in)

	r.kc.DeleteTopic(in)
	p.WaitUnhealthy("link echo/default: ", in)
	// The link's other topic goes on.
	r.kc.ProduceText(other, "meanwhile")
	j.waitDone(t, 41)

	r.kc.PurgeTopicsFromClient(in) // the test's own client would produce to the topic that was
	r.kc.Topic(in, 3, nil)
	renewed := keyed(in, "new", 40, 40)
	r.kc.Produce(renewed...)
	j.waitDone(t, 81)
	r.kc.WaitDrained(r.group("echo"), in)
	p.WaitHealthy()
	j.checkEach(t, slices.Concat(valuesOf(old), []string{"meanwhile"}, valuesOf(renewed)), false)
	p.stop()
}
