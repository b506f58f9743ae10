package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// PartitionLag is how far a group is in one partition, whoever reads it. Offsets are -1 where they are not known.
type PartitionLag struct {
	Topic     string
	Partition int32
	// Start and End are those of the log as the reader sees it: the last stable offset is the end for one of committed
	// records.
	Start, End int64
	// Committed is the offset of the group, -1 where it has none.
	Committed int64
}

// Unread is how many offsets the group has before it, where that is known: a partition that holds nothing needs no
// offset of the group, and an offset beyond the end is that of another topic of the same name or of records that were
// lost, which says nothing of those that are there.
func (l *PartitionLag) Unread() (offsets int64, known bool) {
	switch {
	case l.End < 0:
		return 0, false
	case l.Committed < 0:
		return 0, l.Start >= l.End
	case l.Committed > l.End:
		return 0, false
	default:
		return l.End - l.Committed, true
	}
}

// GroupLag asks how far a group that is no share group is in all partitions of topics, sorted by topic and number. A
// group that does not exist has no offsets, and a topic that does not exist is there with the partition -1.
func GroupLag(
	ctx context.Context, admin *kadm.Client, group string, readCommitted bool, topics ...string,
) ([]PartitionLag, error) {
	if len(topics) == 0 {
		return nil, nil // for the client it would be all topics
	}
	// The offsets first: what is committed after the ends were asked for may be beyond them.
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetching committed offsets: %w", err)
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing the starts of partitions: %w", err)
	}
	list := admin.ListEndOffsets
	if readCommitted {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing the ends of partitions: %w", err)
	}
	var lags []PartitionLag
	for topic, partitions := range ends {
		for partition, end := range partitions {
			lag := PartitionLag{Topic: topic, Partition: partition, Start: -1, End: -1, Committed: -1}
			if end.Err == nil {
				lag.End = end.Offset
			}
			if start, ok := starts.Lookup(topic, partition); ok && start.Err == nil {
				lag.Start = start.Offset
			}
			if at, ok := committed.Lookup(topic, partition); ok && at.Err == nil && at.At >= 0 {
				lag.Committed = at.At
			}
			lags = append(lags, lag)
		}
	}
	slices.SortFunc(lags, func(a, b PartitionLag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return lags, nil
}
