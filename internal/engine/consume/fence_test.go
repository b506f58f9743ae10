package consume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// swallowHeartbeats lets the heartbeats of a member get no answer until the test ends, as a network does that has
// stopped to pass anything on.
func swallowHeartbeats(t *testing.T, k *testkit.FakeKafka, member string) {
	t.Helper()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	k.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if req.(*kmsg.HeartbeatRequest).MemberID == member {
			k.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
}

// In virtual time: a machine that is busy for longer than the fence is ahead of the group lets both be called.
func TestACopyThatTheGroupCannotHearGivesItsCallsUpBeforeAnotherHasThem(t *testing.T) {
	onceUnheard(t, func(*copyOf) {}, func(first *copyOf, waitMembers func(int)) {
		// The first copy joins again, as another member.
		waitMembers(2)
		first.waitHealthy()
	})
}

// Also while it stops, and calls may finish for longer than the group waits for a sign of life.
func TestACopyThatStopsUnheardGivesItsCallsUpBeforeAnotherHasThem(t *testing.T) {
	var stopped chan struct{}
	onceUnheard(t, func(first *copyOf) {
		stopped = make(chan struct{})
		go func() {
			defer close(stopped)
			first.stop()
		}()
	}, func(*copyOf, func(int)) { <-stopped })
}

// onceUnheard has a copy be at work on a record when the group hears no more of it; what it does then, and when another
// copy has the record, are the test's.
func onceUnheard(t *testing.T, then func(first *copyOf), after func(first *copyOf, waitMembers func(int))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var stack kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(stack.Listen), kfake.SeedTopics(1, "t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		connect := func(cfg *Config) { cfg.Access.ConnectBy(stack.DialContext) }
		waitMembers := func(want int) {
			testkit.Eventually(t, patience, func() error {
				info := cluster.GroupInfo("g")
				if info == nil || info.State != "Stable" || len(info.Members) != want {
					return fmt.Errorf("the group is %+v, want %d members", info, want)
				}
				return nil
			})
		}
		config := map[string]string{"topic": "t", "session_timeout": "6s", "drain_timeout": "1m"}
		a := &handler{name: "a", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
			<-ctx.Done()
			return record.Unanswered, ctx.Err()
		}}
		first := startWith(t, cluster.ListenAddrs(), a, config, connect)
		waitOwned(t, "t", 1, first)
		producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(stack.DialContext), kgo.DefaultProduceTopic("t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(producer.Close)
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord("1")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		a.waitCalls(t, 1)
		waitMembers(1)
		member := cluster.GroupInfo("g").Members[0].MemberID

		still := make(chan int, 1)
		b := &handler{name: "b", do: func(context.Context, *record.Record) (record.Kind, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			select {
			case still <- a.running:
			default:
			}
			return record.Done, nil
		}}
		second := startWith(t, cluster.ListenAddrs(), b, config, connect)
		waitMembers(2)
		swallowHeartbeats(t, &testkit.FakeKafka{Cluster: cluster}, member)
		then(first)
		b.waitCalls(t, 1)
		if n := <-still; n > 0 {
			t.Errorf("another copy was called with a record while %d calls of it still ran", n)
		}
		waitOwned(t, "t", 1, second)
		after(first, waitMembers)
	})
}

// In virtual time, of which a member waits up to rebalance_timeout and session_timeout for others.
func TestAMemberWhoseJoinIsLostHearsFromACommitThatTheGroupHasForgottenIt(t *testing.T) {
	for name, lost := range map[string]lostJoin{
		"it is unknown":                           {with: kerr.UnknownMemberID},
		"its generation is over":                  {with: kerr.IllegalGeneration},
		"another has its id":                      {with: kerr.FencedInstanceID, config: map[string]string{"group_instance_id": "one"}},
		"it is unknown, and has outputs":          {with: kerr.UnknownMemberID, transactions: true},
		"its generation is over, and has outputs": {with: kerr.IllegalGeneration, transactions: true},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, lost.test) })
	}
}

// lostJoin is a member whose request to join is lost, and what the group says to its commits then.
type lostJoin struct {
	with         *kerr.Error
	config       map[string]string
	transactions bool
}

func (l lostJoin) test(t *testing.T) {
	var stack kfake.VirtualNetwork
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(stack.Listen), kfake.SeedTopics(1, "t", "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	h := &handler{name: "a"}
	config := map[string]string{"topic": "t", "session_timeout": "10s", "transactions": fmt.Sprint(l.transactions)}
	maps.Copy(config, l.config)
	c := startWith(t, cluster.ListenAddrs(), h, config, func(cfg *Config) {
		cfg.Access.ConnectBy(stack.DialContext)
		if l.transactions {
			asProcessor(cfg, &doubler{name: "a", do: func(ctx context.Context, batch []*record.Record) error {
				h.Receive(ctx, batch)
				return nil
			}})
		}
	})
	waitOwned(t, "t", 1, c)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(stack.DialContext), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	produce := func(value string) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce("1")
	h.waitCalls(t, 1)
	member := cluster.GroupInfo("g").Members[0].MemberID

	// The group rebalances, and the member's request to join does not arrive.
	release, joining := make(chan struct{}), make(chan struct{}, 1)
	t.Cleanup(func() { close(release) })
	cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if req.(*kmsg.JoinGroupRequest).MemberID == member {
			joining <- struct{}{}
			cluster.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		commit := req.(*kmsg.OffsetCommitRequest)
		return refusedCommit(commit, l.with), nil, commit.MemberID == member
	})
	(&testkit.FakeKafka{Cluster: cluster}).RefuseOffsetsOfTransactions(l.with, func(req *kmsg.TxnOffsetCommitRequest) bool { return req.MemberID == member })
	cluster.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.RebalanceInProgress.Code
		return resp, nil, true
	})
	<-joining
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = "g"
	gone := kmsg.NewLeaveGroupRequestMember()
	gone.MemberID = member
	leave.Members = append(leave.Members, gone)
	if _, err := leave.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	forgotten := time.Now()
	produce("2")
	testkit.Eventually(t, patience, func() error {
		if !c.log.Contains("all calls are given up") {
			return errors.New("calls go on")
		}
		return nil
	})
	if after := time.Since(forgotten); after > 6*time.Second {
		t.Errorf("calls go on for %v", after)
	}
	testkit.Eventually(t, 2*patience, func() error {
		info := cluster.GroupInfo("g")
		if info == nil || info.State != "Stable" || len(info.Members) != 1 || info.Members[0].MemberID == member {
			return fmt.Errorf("the group is %+v, want another member", info)
		}
		return nil
	})
	if after := time.Since(forgotten); after > 15*time.Second {
		t.Errorf("the group has another member after %v", after)
	}
	c.waitHealthy()
}

func TestAFenceCountsFromTheLastHeartbeatThatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const heartbeat, join, syncs = 12, 11, 14
		f := fence{session: 10 * time.Second, rebalance: time.Minute}
		left := func(when string, want time.Duration) {
			t.Helper()
			if got := f.left(time.Now()); got != want {
				t.Errorf("%s: %v are left, want %v", when, got, want)
			}
		}
		written := func(key int16) { f.OnBrokerWrite(kgo.BrokerMetadata{}, key, 0, 0, 0, nil) }
		broke := func(key int16) { f.OnBrokerE2E(kgo.BrokerMetadata{}, key, kgo.BrokerE2E{ReadErr: io.EOF}) }
		written(join)
		left("joining", 70*time.Second)
		time.Sleep(40 * time.Second)
		f.answered(join, time.Now().Add(-40*time.Second), 0)
		left("joined", 10*time.Second)
		sent := time.Now()
		written(syncs)
		time.Sleep(4 * time.Second)
		f.answered(syncs, sent, 0)
		left("an answer that took its time", 6*time.Second)
		sent = time.Now()
		time.Sleep(time.Second)
		f.answered(heartbeat, sent, 0)
		left("a heartbeat", 9*time.Second)
		f.answered(heartbeat, time.Now().Add(-3*time.Second), kerr.RebalanceInProgress.Code)
		left("one that was sent before it", 9*time.Second)
		time.Sleep(time.Second)
		f.answered(heartbeat, time.Now(), kerr.RebalanceInProgress.Code)
		left("one in a rebalance", 10*time.Second)
		time.Sleep(3 * time.Second)
		for _, code := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.UnknownServerError} {
			f.answered(heartbeat, time.Now(), code.Code)
			left(code.Message, 7*time.Second)
			written(join)
			f.answered(join, time.Now(), code.Code)
			left("joining: "+code.Message, 7*time.Second)
			written(syncs)
			f.answered(syncs, time.Now(), code.Code)
			left("syncing: "+code.Message, 7*time.Second)
		}
		// How long an answer to a request to join was under way is not known: the broker counts from when it gave it.
		sent = time.Now()
		written(join)
		time.Sleep(5 * time.Second)
		f.answered(join, sent, 0)
		left("joined again", 10*time.Second)
		written(syncs)
		broke(syncs)
		left("joined again, and no more was heard", 5*time.Second)
		written(syncs)
		f.answered(syncs, time.Now(), kerr.NotCoordinator.Code)
		left("joined again, and syncing was not taken", 5*time.Second)
		f.answered(heartbeat, time.Now().Add(-3*time.Second), 0)
		// What came to nothing is no sign of life either.
		for _, key := range []int16{heartbeat, join, syncs} {
			written(key)
			broke(key)
			left("broken off", 7*time.Second)
		}
	})
}
