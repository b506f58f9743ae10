package consume

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestARevokedPartitionIsHandedOverOnlyWhenItsCallIsOver(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var mu sync.Mutex
	inside := map[string]int{}
	release := make(chan struct{})
	handle := func(ctx context.Context, r *record.Record) (record.Kind, error) {
		id := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
		mu.Lock()
		inside[id]++
		if inside[id] > 1 {
			t.Errorf("record %s is with two copies at once", id)
		}
		mu.Unlock()
		select {
		case <-release:
		case <-ctx.Done():
		}
		mu.Lock()
		inside[id]--
		mu.Unlock()
		return record.Done, nil
	}
	a, b := &handler{name: "a", do: handle}, &handler{name: "b", do: handle}
	first := start(t, k.Brokers(), a, map[string]string{"topic": "t"})
	waitOwned(t, "t", 2, first)
	cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: []byte("x")}, &kgo.Record{Topic: "t", Partition: 1, Value: []byte("y")})
	a.waitCalls(t, 2)
	second := start(t, k.Brokers(), b, map[string]string{"topic": "t"})
	// The group has decided to move a partition when the first copy says so; its call still runs.
	testkit.Eventually(t, patience, func() error {
		if !first.log.Contains("partitions revoked") {
			return fmt.Errorf("no partition was revoked yet")
		}
		return nil
	})
	if owned := second.owned("t"); len(owned) != 0 {
		t.Errorf("the second copy owns %v while the first still works on it", owned)
	}
	close(release)
	waitOwned(t, "t", 1, first, second)
	cl.WaitDrained("g", "t")
	if calls := len(a.seen()) + len(b.seen()); calls != 2 {
		t.Errorf("%d calls for 2 records: %v %v", calls, a.seen(), b.seen())
	}
}

func TestACallThatOutlivesTheRebalanceIsGivenUp(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers())
	for p := range int32(2) {
		testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner())).Produce(&kgo.Record{Topic: "t", Partition: p})
	}
	gaveUp := make(chan struct{}, 2)
	stuck := &handler{name: "stuck", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		<-ctx.Done()
		gaveUp <- struct{}{}
		return record.Unanswered, ctx.Err()
	}}
	quick := map[string]string{"topic": "t", "rebalance_timeout": "6s", "session_timeout": "6s", "handle_timeout": "1m"}
	first := start(t, k.Brokers(), stuck, quick)
	stuck.waitCalls(t, 2)
	sound := &handler{name: "sound"}
	second := start(t, k.Brokers(), sound, quick)
	<-gaveUp
	waitOwned(t, "t", 1, first, second)
	sound.waitCalls(t, 1)
	moved := second.owned("t")[0]
	cl.WaitCommitted("g", "t", map[int32]int64{moved: 1, 1 - moved: 0})
}

func TestConsumerPartitionsAreSharedByTheGroup(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 6)
	k.Topic("small", 2)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, topic := range []string{"t", "small"} {
		for p := range map[string]int32{"t": 6, "small": 2}[topic] {
			cl.Produce(&kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%s/%d", topic, p)})
		}
	}
	config := map[string]string{"topic": "t,small", "consumer_partitions": "1,3-5"}
	a, b := &handler{name: "a"}, &handler{name: "b"}
	first := start(t, k.Brokers(), a, config)
	a.waitCalls(t, 5)
	waitOwned(t, "t", 4, first)
	if owned := first.owned("small"); !slices.Equal(owned, []int32{1}) {
		t.Errorf("of the small topic %v", owned)
	}
	second := start(t, k.Brokers(), b, config)
	testkit.Eventually(t, patience, func() error {
		one, two := first.owned("t"), second.owned("t")
		all := slices.Sorted(slices.Values(slices.Concat(one, two)))
		if len(one) < 1 || len(two) < 1 || !slices.Equal(all, []int32{1, 3, 4, 5}) {
			return fmt.Errorf("the copies own %v and %v", one, two)
		}
		return nil
	})
	for p := range int32(6) {
		cl.Produce(&kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, "again/%d", p)})
	}
	testkit.Eventually(t, patience, func() error {
		if n := len(a.seen()) + len(b.seen()); n < 9 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	got := slices.Sorted(slices.Values(slices.Concat(a.values(), b.values())))
	want := []string{"again/1", "again/3", "again/4", "again/5", "small/1", "t/1", "t/3", "t/4", "t/5"}
	if !slices.Equal(got, want) {
		t.Errorf("handled %v, want each listed partition once", got)
	}
}

func TestAMemberWithOtherPartitionsIsRefused(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 4)
	start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "consumer_partitions": "0,1"}).waitHealthy()
	other := start(t, k.Brokers(), &handler{name: "b"}, map[string]string{"topic": "t", "consumer_partitions": "2,3"})
	other.waitProblem("group")
	if owned := other.owned("t"); len(owned) > 0 {
		t.Errorf("the refused member owns %v", owned)
	}
}

func TestAFullBufferStopsFetchingAndOneStuckPartitionDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	cl := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	body := []byte(strings.Repeat("x", 20_000))
	release := make(chan struct{})
	h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
		if r.Partition == 0 {
			select {
			case <-release:
			case <-ctx.Done():
				return record.Unanswered, ctx.Err()
			}
		}
		return record.Done, nil
	}}
	start(t, k.Brokers(), h, map[string]string{
		"topic": "t", "max_buffer": "1MiB", "order": "partition", "fetch_max_bytes": "256KiB",
	})
	for range 200 {
		cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: body}, &kgo.Record{Topic: "t", Partition: 1, Value: body})
	}
	// All of the one partition is through although the other has four megabytes behind a call that does not end.
	cl.WaitCommitted("g", "t", map[int32]int64{0: 0, 1: 200})
	close(release)
	cl.WaitDrained("g", "t")
	if n := len(h.seen()); n != 400 {
		t.Errorf("%d calls, want 400", n)
	}
}

// The time of a stop is a host's to give: 250 ms by default, of virtual time here.
func TestStopIsQuickAndCommitsWhatIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		k, err := kfake.NewCluster(kfake.Ports(9092), kfake.ListenFn(stack.Listen), kfake.SeedTopics(1, "t", "dlq"))
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		producer, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.Dialer(stack.DialContext), kgo.DefaultProduceTopic("t"))
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		for _, value := range numbered(4) {
			if err := producer.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
			if r.Offset == 2 {
				<-ctx.Done()
				return record.Unanswered, ctx.Err()
			}
			return record.Done, nil
		}}
		c := startWith(t, []string{"127.0.0.1:9092"}, h, map[string]string{
			"topic": "t", "order": "none", "commit_interval": "5m", "dead_letter_topic": "dlq", "max_attempts": "1",
		}, func(cfg *Config) { cfg.Access.ConnectBy(stack.DialContext) })
		h.waitCalls(t, 4)
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		began := time.Now()
		c.Stop(ctx)
		if took := time.Since(began); took >= 250*time.Millisecond {
			t.Errorf("the stop took %s, all the time it had", took)
		}
		info := k.GroupInfo("g")
		if info == nil || info.Commits["t"][0].Offset != 2 || len(info.Members) != 0 {
			t.Errorf("the group is %+v, want no member and 2 committed", info)
		}
		if c.counts.buried.Load() != 0 {
			t.Error("the stop dead-lettered a record")
		}
	})
}

// TestMembersThatShareOtherwiseAreNamed: what helps depends on what the members of the group do.
func TestMembersThatShareOtherwiseAreNamed(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	assigned := make(chan struct{}, 100)
	member, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	<-assigned
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t"})
	c.waitProblem("share its partitions by range, and this member by cooperative-sticky", "CooperativeStickyAssignor",
		"group_protocol=consumer")
	member.Close()
	c.waitHealthy()
}
