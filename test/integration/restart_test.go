package integration

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestRestartsDeliverNothingAgainFromAQuietPartition(t *testing.T) {
	const restarts, busy, quiet, empty = 20, 0, 1, 2
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 3)
	manual := testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var want []string
	produce := func(partition int32, value string) {
		t.Helper()
		want = append(want, value)
		manual.Produce(&kgo.Record{Topic: in, Partition: partition, Value: []byte(value)})
	}
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	// From the end on, as by default: what a restart forgot of a partition would show as loss, not as repetition.
	r.link("echo", r.config(in, "start", "latest"))
	p := r.start()
	p.WaitHealthy()
	r.kc.WaitCommitted(r.group("echo"), in, map[int32]int64{busy: 0, quiet: 0, empty: 0})
	for i := range 5 {
		produce(quiet, fmt.Sprintf("quiet%d", i))
	}
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	for i := range restarts {
		// One way out is as good as the other: everything is committed.
		if i%2 == 0 {
			p.stop()
		} else {
			p.Kill()
		}
		produce(busy, fmt.Sprintf("away%d", i))
		p.Restart()
		produce(busy, fmt.Sprintf("back%d", i))
		j.waitDone(t, len(want))
		r.kc.WaitDrained(r.group("echo"), in)
	}
	// A partition that was empty all the time is read from where the group first found it.
	p.stop()
	produce(empty, "first of the empty one")
	p.Restart()
	produce(quiet, "next of the quiet one")
	j.waitDone(t, len(want))
	r.kc.WaitDrained(r.group("echo"), in)
	j.checkEach(t, want, true)
	if calls := j.history(); len(calls) != len(want) {
		t.Errorf("%d calls for %d records", len(calls), len(want))
	}
	p.stop()
}
