package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// owners are the partitions that each member of a group owns, as texts by its instance id, or by its member id where
// it is no static member.
func (r *rig) owners(group string) map[string]string {
	r.t.Helper()
	var owners map[string]string
	// The very first question about groups comes before the broker has a coordinator for them.
	testkit.Eventually(r.t, testkit.DefaultTimeout, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		described, err := kadm.NewClient(r.kc.Client).DescribeGroups(ctx, group)
		if err == nil {
			err = described.Error()
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return err
		}
		owners = ownersIn(described[group])
		return nil
	})
	return owners
}

func ownersIn(g kadm.DescribedGroup) map[string]string {
	owners := make(map[string]string)
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		var texts []string
		for _, topic := range assigned.Topics {
			for _, p := range topic.Partitions {
				texts = append(texts, fmt.Sprintf("%s/%d", topic.Topic, p))
			}
		}
		slices.Sort(texts)
		owners[name] = strings.Join(texts, " ")
	}
	return owners
}

// waitShared waits until a group is stable with n members of which each owns something.
func (r *rig) waitShared(group string, n int) map[string]string {
	r.t.Helper()
	var owners map[string]string
	testkit.Eventually(r.t, patience, func() error {
		owners = r.owners(group)
		owning := 0
		for _, partitions := range owners {
			if partitions != "" {
				owning++
			}
		}
		if owning != n || len(owners) != n {
			return fmt.Errorf("the members own %v, want %d that own something", owners, n)
		}
		return nil
	})
	r.kc.WaitMembers(group, n)
	return owners
}

func TestACallLongerThanTheSessionTimeoutIsMadeOnceWhileASecondCopyJoins(t *testing.T) {
	const handling = 30 * time.Second
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 2)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(
		func(ctx context.Context, _ *testkit.Component, msg testkit.Call, _ int) error {
			if !strings.HasPrefix(string(msg.Body), "long") {
				return nil
			}
			select {
			case <-time.After(handling):
			case <-ctx.Done():
			}
			return nil
		})})
	r.link("echo", r.config(in, "session_timeout", "6s"))
	one := r.start()
	r.kc.WaitMembers(r.group("echo"), 1)
	before := r.kc.MemberIDs(r.group("echo"))
	for p := range int32(2) {
		testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner())).
			Produce(&kgo.Record{Topic: in, Partition: p, Value: fmt.Appendf(nil, "long%d", p)})
	}
	j.waitRunning(t, 2)
	assigned := one.logged("partitions assigned")

	two := r.start()
	r.waitShared(r.group("echo"), 2)
	j.waitDone(t, 2)
	r.kc.WaitDrained(r.group("echo"), in)
	for p := range int32(2) {
		testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner())).
			Produce(&kgo.Record{Topic: in, Partition: p, Value: fmt.Appendf(nil, "short%d", p)})
	}
	j.waitDone(t, 4)
	r.kc.WaitDrained(r.group("echo"), in)

	j.checkEach(t, []string{"long0", "long1", "short0", "short1"}, true)
	if calls := j.history(); len(calls) != 4 {
		t.Errorf("%d calls for 4 records: %+v", len(calls), calls)
	}
	if after := r.kc.MemberIDs(r.group("echo")); !slices.Contains(after, before[0]) {
		t.Errorf("the first copy was thrown out of the group: %v before, %v after", before, after)
	}
	// One copy gave one partition, the other got it: that is all that either saw move.
	for what, n := range map[string]int{
		"the first copy gave partitions up":     one.logged("partitions revoked"),
		"the first copy got partitions":         one.logged("partitions assigned") - assigned + 1,
		"the second copy got partitions":        two.logged("partitions assigned"),
		"a copy lost partitions, one more than": one.logged("partitions given up") + two.logged("partitions given up") + 1,
	} {
		if n != 1 {
			t.Errorf("%s %d times, want once", what, n)
		}
	}
	one.stop()
	two.stop()
}

func TestARollingRestartOfStaticMembersMovesNoPartition(t *testing.T) {
	const copies = 3
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 6)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in, "group_instance_id", "auto"))
	for range copies {
		r.start()
	}
	before := r.waitShared(r.group("echo"), copies)
	assigned, revoked := make([]int, copies), make([]int, copies)
	for i, c := range r.copies {
		// The broker knows who owns what before the owner does.
		testkit.Eventually(t, patience, func() error {
			if c.metric("messaging_kafka_rebalances_total") == 0 || c.logged("partitions assigned") == 0 {
				return fmt.Errorf("copy %d has no partitions yet", i+1)
			}
			return nil
		})
		assigned[i], revoked[i] = c.logged("partitions assigned"), c.logged("partitions revoked")
	}
	produced := 0
	for i, c := range r.copies {
		c.stop()
		r.kc.Produce(keyed(in, fmt.Sprintf("r%d-", i), 30, 30)...)
		if now := r.owners(r.group("echo")); !maps.Equal(now, before) {
			t.Errorf("while copy %d was away partitions moved from %v to %v", i+1, before, now)
		}
		c.Restart()
		// What came to its partitions has waited for it.
		produced += 30
		j.waitDone(t, produced)
	}
	r.kc.WaitDrained(r.group("echo"), in)
	if after := r.owners(r.group("echo")); !maps.Equal(after, before) {
		t.Errorf("partitions moved from %v to %v", before, after)
	}
	for i, c := range r.copies {
		// Its own restart gives a copy its partitions anew, that of others nothing.
		if n := c.logged("partitions assigned") - assigned[i]; n != 1 {
			t.Errorf("copy %d was given partitions %d times, want once", i+1, n)
		}
		if n := c.logged("partitions revoked") - revoked[i]; n != 0 {
			t.Errorf("copy %d gave partitions up %d times", i+1, n)
		}
	}
	for _, c := range r.copies {
		c.stop()
	}
}

// TestAStaticMemberIsBackAfterAStop, and does not wait for the session timeout, which is longer here than the test is
// patient.
func TestAStaticMemberIsBackAfterAStop(t *testing.T) {
	kafka := testkit.RealKafka(t, testkit.KafkaOptions{Properties: map[string]string{
		"group.consumer.session.timeout.ms": "1800000", "group.consumer.max.session.timeout.ms": "1800000",
	}})
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			r := newRig(t, kafka.Brokers())
			in := r.topic("in", 2)
			j := newJournal()
			r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
			r.link("echo", r.config(in, "group_instance_id", "auto", "group_protocol", protocol, "session_timeout", "10m"))
			c := r.start()
			for produced := 10; produced <= 30; produced += 10 {
				r.kc.Produce(keyed(in, fmt.Sprintf("r%d-", produced), 10, 10)...)
				began := time.Now()
				j.waitDone(t, produced)
				t.Logf("%d records were done after %v", produced, time.Since(began))
				r.kc.WaitDrained(r.group("echo"), in)
				if c.stop(); produced < 30 {
					c.Restart()
				}
			}
		})
	}
}

func TestTheListedPartitionsAreSharedAndTheOthersLeftAlone(t *testing.T) {
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 4)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in, "consumer_partitions", "0,2"))
	r.start()
	r.start()
	owners := r.waitShared(r.group("echo"), 2)
	if got := slices.Sorted(maps.Values(owners)); !slices.Equal(got, []string{in + "/0", in + "/2"}) {
		t.Fatalf("the copies own %v, want one listed partition each", got)
	}
	manual := testkit.NewClient(t, r.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var want []string
	for i := range 200 {
		p := int32(i % 4)
		value := fmt.Sprintf("p%d-%d", p, i)
		manual.Produce(&kgo.Record{Topic: in, Partition: p, Value: []byte(value)})
		if p%2 == 0 {
			want = append(want, value)
		}
	}
	j.waitDone(t, len(want))
	r.kc.WaitCommitted(r.group("echo"), in, map[int32]int64{0: 50, 2: 50})

	// One copy alone reads both, still none of the others.
	r.copies[0].stop()
	r.waitShared(r.group("echo"), 1)
	for p := range int32(4) {
		manual.Produce(&kgo.Record{Topic: in, Partition: p, Value: fmt.Appendf(nil, "p%d-last", p)})
	}
	want = append(want, "p0-last", "p2-last")
	j.waitDone(t, len(want))
	r.kc.WaitCommitted(r.group("echo"), in, map[int32]int64{0: 51, 2: 51})
	j.checkEach(t, want, true)
	r.copies[1].stop()
}

func TestAPartitionIsHandedOverQuickly(t *testing.T) {
	const handOvers = 10
	r := newRig(t, kafka4(t).Brokers())
	in := r.topic("in", 1)
	j := newJournal()
	r.component(testkit.ComponentOptions{Handler: j.handler(nil)})
	r.link("echo", r.config(in))
	r.start()
	r.kc.WaitMembers(r.group("echo"), 1)
	r.start()
	r.kc.WaitMembers(r.group("echo"), 2)

	ctx, cancel := context.WithCancel(t.Context())
	produced := make(chan int)
	go func() {
		n := 0
		defer func() { produced <- n }()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := r.kc.ProduceSync(context.Background(),
					&kgo.Record{Topic: in, Value: fmt.Appendf(nil, "v%d", n)}).FirstErr(); err != nil {
					t.Errorf("producing: %v", err)
					return
				}
				n++
			}
		}
	}()
	owner := 0
	for range handOvers {
		// A copy that stays learns by its next heartbeat that one has gone: stop at a random moment between two.
		begun, _ := j.count()
		j.waitBegun(t, begun+50+rand.IntN(150))
		r.copies[owner].stop()
		begun, _ = j.count()
		j.waitBegun(t, begun+10) // and flow again
		// The partition stays with the copy that has it when the other one is back.
		r.copies[owner].Restart()
		r.kc.WaitMembers(r.group("echo"), 2)
		owner = 1 - owner
	}
	cancel()
	n := <-produced
	j.waitDone(t, n)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("v%d", i))
	}
	again := j.checkEach(t, want, false)

	// A hand-over shows as a gap in the stream of calls.
	var gaps []time.Duration
	calls := j.history()
	for i := 1; i < len(calls); i++ {
		gaps = append(gaps, calls[i].begin.Sub(calls[i-1].begin))
	}
	slices.Sort(gaps)
	slices.Reverse(gaps)
	gaps = gaps[:handOvers]
	median := gaps[handOvers/2]
	t.Logf("%d hand-overs with records every 20ms: median gap %v, all %v; %d records handled again",
		handOvers, median.Round(time.Millisecond), rounded(gaps), again)
	if median >= 3*time.Second {
		t.Errorf("the median hand-over takes %v, want less than 3s", median)
	}
	for _, c := range r.copies {
		c.stop()
	}
}

func rounded(ds []time.Duration) []time.Duration {
	out := make([]time.Duration, len(ds))
	for i, d := range ds {
		out[i] = d.Round(time.Millisecond)
	}
	return out
}
