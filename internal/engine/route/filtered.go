package route

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/filter"
)

// filtered hands over the records that the filter matches, and finishes the others without a call. A record is looked
// at in each of its deliveries, with the same answer, since an expression reads nothing but the record.
type filtered struct {
	record.Receiver
	filter  *filter.Filter
	onError settings.OnFilterError
	metrics *telemetry.LinkMetrics
	log     *slog.Logger
}

// Receive implements record.Receiver.
func (f filtered) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	if len(batch) == 1 { // as most are: nothing is to be put together
		if o, decided := f.decide(batch[0]); decided {
			return record.Each(1, o)
		}
		return f.Receiver.Receive(ctx, batch)
	}
	outcomes := make([]record.Outcome, len(batch))
	matching, places := make([]*record.Record, 0, len(batch)), make([]int, 0, len(batch))
	for i, r := range batch {
		o, decided := f.decide(r)
		if !decided {
			matching, places = append(matching, r), append(places, i)
		}
		outcomes[i] = o
	}
	if len(matching) == 0 {
		return outcomes
	}
	for i, o := range record.Counted(f.Receiver.Receive(ctx, matching), len(matching)) {
		outcomes[places[i]] = o
	}
	return outcomes
}

// decide says what becomes of a record without a call. It decides nothing where the record is to be handed over.
func (f filtered) decide(r *record.Record) (record.Outcome, bool) {
	match, err := f.filter.Match(r)
	skipped := record.Outcome{Kind: record.Skipped, Uncalled: true}
	if err == nil {
		if !match {
			f.metrics.Filtered()
		}
		return skipped, !match
	}
	f.metrics.FilterFailed()
	f.log.Warn("the filter has no answer for a record", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err,
		"on_filter_error", string(f.onError))
	switch f.onError {
	case settings.FilterErrorSkip:
		f.metrics.Filtered()
		return skipped, true
	case settings.FilterErrorReject:
		return record.Outcome{Kind: record.Reject, Uncalled: true, Err: fmt.Errorf("the filter has no answer for it: %w", err)}, true
	case settings.FilterErrorDeliver:
	}
	return record.Outcome{}, false
}
