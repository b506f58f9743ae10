package consume

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

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
		config := map[string]string{"topic": "t", "session_timeout": "6s"}
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
		b.waitCalls(t, 1)
		if n := <-still; n > 0 {
			t.Errorf("another copy was called with a record while %d calls of it still ran", n)
		}
		waitOwned(t, "t", 1, second)

		// The first copy joins again, as another member.
		waitMembers(2)
		first.waitHealthy()
	})
}

func TestAFenceCountsFromTheLastHeartbeatThatWasAnswered(t *testing.T) {
	t.Parallel()
	const heartbeat, join, fetch = 12, 11, 1
	f := fence{session: 10 * time.Second, rebalance: time.Minute}
	within := func(left, low, high time.Duration) {
		t.Helper()
		if left < low || left > high {
			t.Errorf("%v are left, want %v to %v", left, low, high)
		}
	}
	answered := func(key int16, took time.Duration, err error) {
		f.OnBrokerE2E(kgo.BrokerMetadata{}, key, kgo.BrokerE2E{ReadWait: took, ReadErr: err})
	}
	answered(join, 0, nil)
	within(f.left(time.Now()), 9*time.Second, 10*time.Second)
	answered(heartbeat, 4*time.Second, nil)
	within(f.left(time.Now().Add(7*time.Second)), 2*time.Second, 3*time.Second)
	// Neither what came to nothing nor what is no sign of life to the group counts, nor what was sent earlier.
	later := time.Now().Add(11 * time.Second)
	answered(heartbeat, 0, io.EOF)
	answered(fetch, 0, nil)
	within(f.left(later), -2*time.Second, 0)
	// While the member waits for others it need not be heard.
	f.OnBrokerWrite(kgo.BrokerMetadata{}, join, 0, 0, 0, nil)
	within(f.left(later.Add(50*time.Second)), 8*time.Second, 10*time.Second)
	answered(join, 0, nil)
	within(f.left(time.Now()), 9*time.Second, 10*time.Second)
}
