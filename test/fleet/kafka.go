package fleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// BreakKafka breaks a broker, or the way to it, holds, and mends it. Faults of the brokers themselves end when the
// cluster has all its replicas again: the next would meet one that cannot bear it. A fault of an unknown kind fails the
// test.
func BreakKafka(ctx context.Context, t testing.TB, k *testkit.Kafka, admin *kadm.Client, f Fault) {
	t.Helper()
	switch f.Kind {
	case KillBroker:
		k.KillNode(t, f.Target)
		Sleep(ctx, f.Hold)
		k.StartNode(t, f.Target)
		waitReplicated(ctx, t, admin)
	case PauseBroker:
		k.PauseNode(t, f.Target)
		Sleep(ctx, f.Hold)
		k.ResumeNode(t, f.Target)
		waitReplicated(ctx, t, admin)
	case ResetKafka:
		k.Proxies()[f.Target-1].Cut()
	case CutKafka:
		CutOff(ctx, f.Hold, k.Proxies()[f.Target-1])
	case CutAllKafka:
		CutOff(ctx, f.Hold, k.Proxies()...)
	case SwallowKafka:
		for _, p := range k.Proxies() {
			p.Pause()
		}
		Sleep(ctx, f.Hold)
		for _, p := range k.Proxies() {
			p.Resume()
		}
	default:
		t.Errorf("nobody knows how to %v", f)
	}
}

// CutOff resets the connections of proxies, and refuses new ones for a while.
func CutOff(ctx context.Context, hold time.Duration, proxies ...*testkit.Proxy) {
	for _, p := range proxies {
		p.Down()
	}
	Sleep(ctx, hold)
	for _, p := range proxies {
		p.Up()
	}
}

func waitReplicated(ctx context.Context, t testing.TB, admin *kadm.Client) {
	err := Until(ctx, 2*time.Minute, func(ctx context.Context) error { return Replicated(ctx, admin) })
	if err != nil && ctx.Err() == nil {
		t.Errorf("Kafka does not recover from a broker fault: %v", err)
	}
}

// Replicated returns nil when every partition of the cluster has all its replicas in sync.
func Replicated(ctx context.Context, admin *kadm.Client) error {
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		for _, p := range topic.Partitions {
			if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
				return fmt.Errorf("%s/%d has %d of %d replicas in sync and leader %d", topic.Topic, p.Partition, len(p.ISR),
					len(p.Replicas), p.Leader)
			}
		}
	}
	return nil
}

// Offsets returns the ends of a topic and what a group has committed in it. What an open transaction commits is not
// committed yet.
func Offsets(ctx context.Context, admin *kadm.Client, group, topic string) (ends,
	committed map[int32]int64, err error) {
	listed, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing ends: %w", err)
	}
	commits, err := admin.FetchOffsets(ctx, group)
	if err == nil {
		err = commits.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("fetching committed offsets: %w", err)
	}
	ends, committed = make(map[int32]int64), make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	for p, o := range commits.Offsets()[topic] {
		committed[p] = o.At
	}
	return ends, committed, nil
}

// Members returns the number of members of a group, by both protocols.
func Members(ctx context.Context, admin *kadm.Client, group string) (int, error) {
	classic, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return 0, err
	}
	n := len(classic[group].Members)
	if consumer, err := admin.DescribeConsumerGroups(ctx, group); err == nil {
		n = max(n, len(consumer[group].Members))
	}
	return n, nil
}
