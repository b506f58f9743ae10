package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// holdRequests holds all requests of a kind from now on until the function that it returns is called, and tells by held
// that one has come.
func holdRequests(t *testing.T, k *testkit.FakeKafka, key kmsg.Key) (held <-chan struct{}, release func()) {
	t.Helper()
	came, goOn := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(came) })
	release = sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	k.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		first()
		k.SleepControl(func() { <-goOn })
		return nil, nil, false
	})
	return came, release
}

// waitStarting waits until the only problem is one that says what is still to come, in one of some ways.
func (c *copyOf) waitStarting(texts ...string) {
	c.t.Helper()
	testkit.Eventually(c.t, patience, func() error {
		ps := c.Status().Problems
		if len(ps) == 0 {
			c.t.Fatalf("it is healthy, want %q", texts)
		}
		if ps.State() != status.Starting || !slices.Contains(texts, ps.String()) {
			return fmt.Errorf("problems are %q (%s), want one of %q", ps, ps.State(), texts)
		}
		return nil
	})
}

func TestHealthWaitsForThePositionOfEachPartition(t *testing.T) {
	t.Parallel()
	for _, protocol := range groupProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			held, release := holdRequests(t, k, kmsg.OffsetCommit)
			h := &handler{name: "a"}
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": protocol, "start": "latest"})
			<-held
			c.waitStarting("finding from where to read t/0")
			release()
			c.waitHealthy()
			cl.ProduceText("t", "x")
			h.waitCalls(t, 1)
		})
	}
}

func TestHealthOfAShareGroupWaitsForTheFirstFetch(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	held, release := holdRequests(t, k, kmsg.ShareFetch)
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": "share", "start": "latest"})
	<-held
	c.waitStarting("joining group g", "waiting for the first fetch of t/0")
	release()
	c.waitHealthy()
	cl.ProduceText("t", "x")
	h.waitCalls(t, 1)
}

// A member that has none of the partitions that have come never asks their leaders.
func TestAMemberOfAShareGroupWaitsForNoLeaderThatItDoesNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShareFetches()
		leaders := map[topicPartition]int32{{"t", 1}: 1}
		ctx, cancel := context.WithCancel(t.Context())
		alone, among := make(chan error, 1), make(chan error, 1)
		go func() { alone <- h.wait(ctx, leaders, false) }()
		synctest.Wait()
		for range enoughFetches {
			h.OnBrokerE2E(kgo.BrokerMetadata{NodeID: 0}, int16(kmsg.ShareFetch), kgo.BrokerE2E{})
		}
		synctest.Wait()
		if len(alone) > 0 {
			t.Error("the only member has not asked the leader, and waits no more")
		}
		cancel()
		if err := <-alone; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		go func() { among <- h.wait(t.Context(), leaders, true) }()
		synctest.Wait()
		if len(among) > 0 {
			t.Error("nothing was fetched since, and it waits no more")
		}
		for range enoughFetches {
			h.OnBrokerE2E(kgo.BrokerMetadata{NodeID: 0}, int16(kmsg.ShareFetch), kgo.BrokerE2E{})
		}
		synctest.Wait()
		if len(among) == 0 {
			t.Error("a member among others waits for a leader that it does not ask")
		}
	})
}

// While records are handled nothing is fetched: those that came say that their partition is read.
func TestHealthOfAShareGroupDoesNotWaitForRecordsThatAreHandledForLong(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	testkit.NewClient(t, k.Brokers()).ProduceText("t", "x")
	hold := make(chan struct{})
	h := &handler{name: "a", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		select {
		case <-hold:
			return record.Done, nil
		case <-ctx.Done():
			return record.Unanswered, ctx.Err()
		}
	}}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": "share", "handle_timeout": "5m"})
	h.waitCalls(t, 1)
	c.waitHealthy()
	close(hold)
}

// nobody answers questions for groups: they have no members.
func nobody(k *testkit.FakeKafka, protocol string) (stop func()) {
	var done sync.Once
	over := make(chan struct{})
	answer := func(fill func(kmsg.Request) kmsg.Response) func(kmsg.Request) (kmsg.Response, error, bool) {
		return func(req kmsg.Request) (kmsg.Response, error, bool) {
			select {
			case <-over:
				return nil, nil, false
			default:
			}
			k.KeepControl()
			return fill(req), nil, true
		}
	}
	switch protocol {
	case "classic":
		k.ControlKey(int16(kmsg.DescribeGroups), answer(func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.State, g.ProtocolType = "g", "PreparingRebalance", "consumer"
			resp.Groups = append(resp.Groups, g)
			return resp
		}))
	case "consumer":
		k.ControlKey(int16(kmsg.ConsumerGroupDescribe), answer(func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
			g := kmsg.NewConsumerGroupDescribeResponseGroup()
			g.Group, g.State = "g", "Assigning"
			resp.Groups = append(resp.Groups, g)
			return resp
		}))
	case "share":
		k.ControlKey(int16(kmsg.ShareGroupDescribe), answer(func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.ShareGroupDescribeResponse)
			g := kmsg.NewShareGroupDescribeResponseGroup()
			g.GroupID, g.GroupState = "g", "Empty"
			resp.Groups = append(resp.Groups, g)
			return resp
		}))
	}
	return func() { done.Do(func() { close(over) }) }
}

func TestACopyWithoutPartitionsIsHealthyWhenOthersHaveThem(t *testing.T) {
	t.Parallel()
	for _, protocol := range allProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			config := map[string]string{"topic": "t", "group_protocol": protocol}
			first := start(t, k.Brokers(), &handler{name: "a"}, config)
			first.waitHealthy()
			settle := nobody(k, protocol)
			second := start(t, k.Brokers(), &handler{name: "b"}, config)
			if protocol != "share" { // where both have the one partition
				testkit.Eventually(t, patience, func() error {
					if !second.Status().Joined || len(first.owned("t"))+len(second.owned("t")) != 1 {
						return errors.New("it has not joined")
					}
					return nil
				})
			}
			without := second
			if len(second.owned("t")) > 0 {
				without = first
			}
			if without == second {
				const text = "group g has given nobody t/0 yet"
				without.waitProblem(text)
				testkit.InRunbook(t, "The link only ever says `starting` or `joining group …`", text)
			}
			settle()
			without.waitHealthy()
			second.waitHealthy()
		})
	}
}

func TestHealthWaitsUntilATopicThatComesLaterIsGivenToSomebody(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("early", 1)
	cl := testkit.NewClient(t, k.Brokers())
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "early,late", "start": "latest"})
	cl.WaitCommitted("g", "early", map[int32]int64{0: 0})
	c.waitProblem("topic late: ")
	held, release := holdRequests(t, k, kmsg.SyncGroup)
	k.Topic("late", 1)
	<-held
	testkit.Eventually(t, patience, func() error {
		ps := c.Status().Problems
		if len(ps) == 0 {
			t.Fatal("it is healthy while nobody has the topic")
		}
		if ps.State() != status.Starting {
			return fmt.Errorf("problems are %q", ps)
		}
		return nil
	})
	release()
	c.waitHealthy()
	waitOwned(t, "late", 1, c) // the group may know it a moment before this member does
}

func TestAPartitionAddedLaterIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, protocol := range allProtocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			k := testkit.Kfake(t)
			k.Topic("t", 1)
			cl := testkit.NewClient(t, k.Brokers())
			h := &handler{name: "a"}
			// The client would find it within an hour.
			c := start(t, k.Brokers(), h, map[string]string{"topic": "t", "group_protocol": protocol, "metadata_max_age": "1h"})
			c.waitHealthy()
			cl.AddPartitions("t", 1)
			if protocol == "share" {
				cl.ProduceText("t", numbered(40)...)
				h.waitCalls(t, 40)
			} else {
				waitOwned(t, "t", 2, c)
			}
			c.waitHealthy()
		})
	}
}
