package consume

import (
	"context"
	"io"
	"testing"
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

func TestACopyThatTheGroupCannotHearGivesItsCallsUpBeforeAnotherHasThem(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t, kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	k.Topic("t", 1)
	cl := testkit.NewClient(t, k.Brokers())
	config := map[string]string{"topic": "t", "session_timeout": "2s"}
	a := &handler{name: "a", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		<-ctx.Done()
		return record.Unanswered, ctx.Err()
	}}
	first := start(t, k.Brokers(), a, config)
	waitOwned(t, "t", 1, first)
	cl.ProduceText("t", "1")
	a.waitCalls(t, 1)
	member := cl.MemberIDs("g")[0]

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
	second := start(t, k.Brokers(), b, config)
	cl.WaitMembers("g", 2)
	swallowHeartbeats(t, k, member)
	b.waitCalls(t, 1)
	if n := <-still; n > 0 {
		t.Errorf("another copy was called with a record while %d calls of it still ran", n)
	}
	waitOwned(t, "t", 1, second)

	// The first copy joins again, as another member.
	cl.WaitMembers("g", 2)
	first.waitHealthy()
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
