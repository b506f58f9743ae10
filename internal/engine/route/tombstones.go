package route

import (
	"context"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// skipsTombstones finishes records without a value (tombstones=skip). Routes that have the setting hand records over
// one by one.
type skipsTombstones struct {
	record.Receiver
	log *slog.Logger
}

// Receive implements record.Receiver.
func (s skipsTombstones) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	if r := batch[0]; len(batch) == 1 && r.Value == nil {
		s.log.Debug("a tombstone is skipped", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset)
		return record.Each(1, record.Outcome{Kind: record.Skipped})
	}
	return s.Receiver.Receive(ctx, batch)
}
