package consume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// stopAsHost stops a consumer as a host does that leaves it 300 ms, and fails the test when it has not ended long
// after that.
func (c *copyOf) stopAsHost() {
	c.t.Helper()
	c.stopWithinTime(300*time.Millisecond, patience/2)
}

// stopWithinTime stops a consumer that has some time for that, and fails the test when it has not ended long after
// that.
func (c *copyOf) stopWithinTime(within, limit time.Duration) {
	c.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		c.Stop(ctx)
	}()
	select {
	case <-ended:
	case <-time.After(limit):
		c.t.Fatalf("the consumer has not stopped %v after it had %v to", limit, within)
	}
}

// joinIdle joins a group as a member that does nothing more, so that every later rebalance waits for it until its
// session ends.
func joinIdle(ctx context.Context, cl *testkit.Client, group, topic string, session time.Duration) error {
	balancer := kgo.CooperativeStickyBalancer()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType = group, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(session.Milliseconds()), int32(session.Milliseconds())
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = balancer.ProtocolName(), balancer.JoinGroupMetadata([]string{topic}, nil, -1)
	req.Protocols = append(req.Protocols, p)
	for range 2 {
		resp, err := req.RequestWith(ctx, cl.Client)
		if err != nil {
			return err
		}
		req.MemberID = resp.MemberID
		if err := kerr.ErrorForCode(resp.ErrorCode); !errors.Is(err, kerr.MemberIDRequired) {
			return err
		}
	}
	return errors.New("the group does not take its own member id")
}

func TestAStopIsNotHeldUpByARebalanceThatWaitsForOtherMembers(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 4)
	cl := testkit.NewClient(t, k.Brokers())
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t"})
	waitOwned(t, "t", 4, c)
	members := cl.MemberIDs("g")
	if err := joinIdle(t.Context(), cl, "g", "t", time.Minute); err != nil {
		t.Fatalf("joining: %v", err)
	}

	// Another newcomer makes the consumer join again, which the idle member does not.
	var joins atomic.Int32
	k.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if req.(*kmsg.JoinGroupRequest).MemberID == members[0] {
			joins.Add(1)
		}
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	var newcomer sync.WaitGroup
	newcomer.Go(func() {
		if err := joinIdle(ctx, testkit.NewClient(t, k.Brokers()), "g", "t", time.Minute); err == nil {
			t.Error("the idle member has joined again, so nothing was held up")
		}
	})
	testkit.Eventually(t, patience, func() error {
		if joins.Load() == 0 {
			return errors.New("the consumer has not joined again yet")
		}
		return nil
	})
	c.stopAsHost()
	if now := cl.MemberIDs("g"); slices.Contains(now, members[0]) {
		t.Errorf("the consumer is still a member of the group: %s of %v", members[0], now)
	}
	cancel()
	newcomer.Wait()
}

func TestAStopIsNotHeldUpByARevocationThatWaitsForCalls(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 2)
	manual := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(2) {
		manual.Produce(&kgo.Record{Topic: "t", Partition: p})
	}
	stuck := &handler{name: "stuck", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		<-ctx.Done()
		return record.Unanswered, ctx.Err()
	}}
	config := map[string]string{"topic": "t", "session_timeout": "6s", "rebalance_timeout": "5m", "handle_timeout": "5m"}
	first := start(t, k.Brokers(), stuck, config)
	stuck.waitCalls(t, 2)
	second := start(t, k.Brokers(), &handler{name: "second"}, config)
	testkit.Eventually(t, patience, func() error {
		if !first.log.Contains("partitions revoked") {
			return fmt.Errorf("no partition was revoked yet")
		}
		return nil
	})
	first.stopAsHost()
	waitOwned(t, "t", 2, second)
	manual.WaitDrained("g", "t")
}

func TestTheLastCommitWaitsForARebalanceToEnd(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "start": "earliest", "commit_interval": "5m"})
	cl.ProduceText("t", "1", "2", "3")
	h.waitCalls(t, 3)
	var refused atomic.Int32
	k.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if refused.Load() == 3 {
			return nil, nil, false
		}
		refused.Add(1)
		return refusedCommit(kreq.(*kmsg.OffsetCommitRequest), kerr.RebalanceInProgress), nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	c.Stop(ctx)
	if at := cl.Committed("g", "t")[0]; at != 3 || refused.Load() != 3 {
		t.Errorf("committed %d after %d refusals, want 3 after 3", at, refused.Load())
	}
}

// TestACommitThatArrivesLateDoesNotStay: a commit of which the connection is lost is sent again by another one. A
// broker that stood still may read the first of them last, and goes back to it.
func TestACommitThatArrivesLateDoesNotStay(t *testing.T) {
	for _, protocol := range groupProtocols {
		t.Run(protocol, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": protocol})
			cl.WaitCommitted("g", "t", map[int32]int64{0: 0}) // where it starts
			late := make(chan *kmsg.OffsetCommitRequest, 1)
			k.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
				late <- req.(*kmsg.OffsetCommitRequest)
				return nil, errors.New("the connection is cut"), true
			})
			cl.ProduceText("t", "1", "2", "3")
			first := <-late
			cl.WaitCommitted("g", "t", map[int32]int64{0: 3})
			cl.ProduceText("t", "4", "5")
			cl.WaitCommitted("g", "t", map[int32]int64{0: 5})
			resp, err := first.RequestWith(t.Context(), cl.Client)
			if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Fatalf("the late commit is not taken: %v, %+v", err, resp)
			}
			c.stop()
			if at := cl.Committed("g", "t")[0]; at != 5 {
				t.Errorf("after the stop %d is committed, want 5", at)
			}
		})
	}
}

func TestALateCommitIsAwaitedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l unansweredCommits
		key := kmsg.OffsetCommit.Int16()
		l.OnBrokerE2E(kgo.BrokerMetadata{}, key, kgo.BrokerE2E{})
		l.OnBrokerE2E(kgo.BrokerMetadata{}, kmsg.Fetch.Int16(), kgo.BrokerE2E{ReadErr: io.EOF})
		if l.possible(time.Now()) {
			t.Error("commits that were answered, and what is no commit, are awaited")
		}
		for _, lost := range []kgo.BrokerE2E{{ReadErr: io.EOF}, {WriteErr: io.EOF}} {
			l.OnBrokerE2E(kgo.BrokerMetadata{}, key, lost)
			time.Sleep(unansweredFor - 1)
			if !l.possible(time.Now()) {
				t.Error("it is not awaited for as long as it may come")
			}
			time.Sleep(time.Nanosecond)
			if l.possible(time.Now()) {
				t.Error("it is awaited for ever")
			}
		}
	})
}

// TestAClosedClientLeavesNothingBehind: Close has the client leave its group in a goroutine of its own, which may begin
// after all else of Close. It waits for those that poll, and one of them is Close itself, where it found something to
// throw away, such as the error of a group whose broker is gone.
func TestAClosedClientLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	k := testkit.KfakeProxied(t)
	k.Topic("in", 1)
	release := make(chan struct{})
	h := &handler{name: "a", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return record.Done, nil
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "in", "drain_timeout": "15s"})
	testkit.NewClient(t, k.Brokers()).ProduceText("in", "one")
	h.waitCalls(t, 1)
	s := c.session()
	var stopped sync.WaitGroup
	stopped.Go(c.stop)
	testkit.Eventually(t, patience, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closing {
			return errors.New("the stop has not begun")
		}
		return nil
	})
	k.Proxies()[0].Down()
	testkit.Eventually(t, patience, func() error {
		if !c.log.Contains("group manage loop errored") {
			return errors.New("the group is not lost yet")
		}
		return nil
	})
	close(release)
	stopped.Wait()
	ended, end := context.WithCancel(context.Background())
	end()
	_ = s.cl.LeaveGroupContext(ended) // the late goroutine; the error says that ended has ended
	testkit.Eventually(t, patience, func() error {
		all := make([]byte, 1<<20)
		if all = all[:runtime.Stack(all, true)]; bytes.Contains(all, []byte("kgo.(*Client).LeaveGroupContext")) {
			return errors.New("a goroutine still waits to leave the group")
		}
		return nil
	})
}

// TestAStopWhileASessionIsGivenUpKeepsItsTime: what has failed by itself and is being ended has half a minute for that,
// until a stop comes that has less.
func TestAStopWhileASessionIsGivenUpKeepsItsTime(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a", do: func(ctx context.Context, r *record.Record) (record.Kind, error) {
				if string(r.Value) == "0" {
					return record.Done, nil
				}
				<-ctx.Done()
				return record.Unanswered, ctx.Err()
			}}
			c := start(t, k.Brokers(), h, map[string]string{
				"topic": "t", "group_protocol": protocol, "drain_timeout": "1m", "handle_timeout": "10m", "commit_interval": "5m", "order": "partition",
			})
			cl.ProduceText("t", numbered(2)...)
			h.waitCalls(t, 2)
			s := c.session()
			s.fail(errors.New("as if Kafka had said so"))
			testkit.Eventually(t, patience, func() error {
				s.mu.Lock()
				defer s.mu.Unlock()
				if !s.closing {
					return errors.New("the session goes on")
				}
				return nil
			})
			c.stopWithinTime(10*time.Second, patience/2)
			if at := cl.Committed("g", "t")[0]; at != 1 {
				t.Errorf("committed %d, want 1", at)
			}
			if ms := cl.MemberIDs("g"); len(ms) > 0 {
				t.Errorf("the group still has the members %v", ms)
			}
		})
	}
}

func TestAMemberOfAKIP848GroupLeavesItWhereTheClientIsTooSlow(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	c := start(t, k.Brokers(), &handler{name: "a"}, map[string]string{"topic": "t", "group_protocol": "consumer"})
	waitOwned(t, "t", 1, c)
	// The client waits longer before each of its tries, and has a second for all of them.
	var refused atomic.Int32
	k.ControlKey(kmsg.ConsumerGroupHeartbeat.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := kreq.(*kmsg.ConsumerGroupHeartbeatRequest)
		if req.MemberEpoch != epochLeave || refused.Load() == 3 {
			return nil, nil, false
		}
		refused.Add(1)
		resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		return resp, nil, true
	})
	c.stopWithinTime(6*time.Second, patience)
	if ms := cl.MemberIDs("g"); len(ms) > 0 || refused.Load() == 0 {
		t.Errorf("after %d refusals the group still has the members %v", refused.Load(), ms)
	}
}

// TestAStaticMemberOfAKIP848GroupSaysThatItWillBeBack, by its instance id, which brokers demand.
func TestAStaticMemberOfAKIP848GroupSaysThatItWillBeBack(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	var asItself atomic.Int32
	k.ControlKey(kmsg.ConsumerGroupHeartbeat.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := kreq.(*kmsg.ConsumerGroupHeartbeatRequest)
		switch {
		case req.MemberEpoch == epochStaticLeave && req.InstanceID == nil:
			resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp, nil, true
		case req.MemberEpoch == epochStaticLeave && *req.InstanceID == "one":
			asItself.Add(1)
		}
		return nil, nil, false
	})
	config := map[string]string{"topic": "t", "group_protocol": "consumer", "group_instance_id": "one"}
	for range 2 {
		c := start(t, k.Brokers(), &handler{name: "a"}, config)
		waitOwned(t, "t", 1, c)
		c.stop()
		if c.log.Contains("leaving the group failed") {
			t.Error("leaving failed")
		}
	}
	if n := asItself.Load(); n != 2 {
		t.Errorf("%d requests told of a member that will be back, want 2", n)
	}
}
