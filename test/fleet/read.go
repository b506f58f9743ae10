package fleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// ReadAll reads a topic to its end as a read_committed reader, and returns how many records are stored in it besides
// for whoever reads without that.
func ReadAll(ctx context.Context, t testing.TB, brokers []string, topic string) (records []*kgo.Record, stored int,
	err error) {
	if records, err = read(ctx, t, brokers, topic, kgo.ReadCommitted()); err != nil {
		return nil, 0, err
	}
	all, err := read(ctx, t, brokers, topic, kgo.ReadUncommitted())
	return records, len(all), err
}

func read(
	ctx context.Context, t testing.TB, brokers []string, topic string, isolation kgo.IsolationLevel,
) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// Whoever sees transaction markers sees the end.
	reader := testkit.NewClient(t, brokers, kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(isolation),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	defer reader.Close()
	ends, err := kadm.NewClient(reader.Client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the ends of %s: %w", topic, err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var records []*kgo.Record
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s cannot be read to its end: of partitions %v nothing more came for a minute: a transaction is open", topic, left)
		}
		for _, r := range fetches.Records() {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return records, nil
}
