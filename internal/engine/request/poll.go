package request

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const maxPoll = 1000

// afterError is for how long a partition rests that answers a fetch with an error. The others are read meanwhile.
var afterError = backoff.Backoff{First: 500 * time.Millisecond, Most: 5 * time.Second}

// pausedPartition is a partition that has failed, until it is fetched again.
type pausedPartition struct {
	until    time.Time
	failures int
	// reposition tells that the client's place may not be ours.
	reposition bool
}

// poll hands answers to the requests that wait for them, until ctx ends.
func (rd *reader) poll(ctx context.Context) {
	rests := make(map[int32]*pausedPartition)
	for ctx.Err() == nil {
		polling, cancel := untilOver(ctx, rests)
		fetches := rd.cl.PollRecords(polling, maxPoll)
		cancel()
		// The client appends a loss behind the answers that came after it.
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if lost, ok := errors.AsType[*kgo.ErrDataLoss](f.Err); ok {
				rd.lost(f.FetchPartition.Partition, lost)
			}
		})
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if f.Topic == "" {
				return // the end of ctx
			}
			if f.Partition < 0 {
				rd.lookSoon() // an error of the topic as a whole, of which no partition would ever say that it is over
				return
			}
			// Answers may have come with an error: the client goes on behind them.
			for _, answer := range f.Records {
				rd.take(answer)
			}
			if n := len(f.Records); n > 0 {
				last := f.Records[n-1]
				rd.setPosition(f.Partition, kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1})
			}
			_, lost := errors.AsType[*kgo.ErrDataLoss](f.Err)
			switch {
			case lost:
			case f.Err == nil:
				delete(rests, f.Partition)
				rd.state.fetched(f.Partition)
			case errors.Is(f.Err, kafka.ErrNoRoom): // which is no failure
				rd.pause(rests, f.Partition, f.Err)
			case rd.fetchFailed(ctx, &f.FetchPartition):
				rd.pause(rests, f.Partition, f.Err)
			}
		})
		rd.fetched.Taken(fetches, rd.cl.BufferedFetchRecords())
		rd.resume(ctx, rests)
	}
}

// untilOver returns a context that ends when the first rest is over.
func untilOver(ctx context.Context, rests map[int32]*pausedPartition) (context.Context, context.CancelFunc) {
	var first time.Time
	for _, r := range rests {
		if !r.until.IsZero() && (first.IsZero() || r.until.Before(first)) {
			first = r.until
		}
	}
	if first.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, first)
}

// pause keeps a partition from being fetched for a while.
func (rd *reader) pause(rests map[int32]*pausedPartition, partition int32, err error) {
	r := rests[partition]
	if r == nil {
		r = new(pausedPartition)
		rests[partition] = r
	}
	_, answered := errors.AsType[*kerr.Error](err)
	r.failures++
	r.until = time.Now().Add(afterError.After(r.failures))
	r.reposition = r.reposition || !answered
	rd.cl.PauseFetchPartitions(map[string][]int32{rd.topic: {partition}})
}

// resume has partitions fetched again whose rest is over. The client goes on behind the first record of some batches
// that it cannot read, and it leaves a partition for good whose batch is too large for it: it gets our position anew.
func (rd *reader) resume(ctx context.Context, rests map[int32]*pausedPartition) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	for partition, r := range rests {
		if r.until.IsZero() || now.Before(r.until) {
			continue
		}
		if place, ok := rd.position(partition); ok && r.reposition {
			rd.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{rd.topic: {partition: place}})
		}
		r.until, r.reposition = time.Time{}, false
		rd.cl.ResumeFetchPartitions(map[string][]int32{rd.topic: {partition}})
	}
}

// position is from where a partition is read next; ok is false while that is not known.
func (rd *reader) position(partition int32) (place kgo.EpochOffset, ok bool) {
	rd.positionsMu.Lock()
	defer rd.positionsMu.Unlock()
	place, ok = rd.positions[partition]
	return place, ok
}

func (rd *reader) lost(partition int32, lost *kgo.ErrDataLoss) {
	rd.cfg.Log.Warn("the broker lost answers that were read already: reading goes on from where its log ended",
		"topic", rd.topic, "partition", partition, "read_to", lost.ConsumedTo, "resumed_at", lost.ResetTo, "records_lost", lost.ConsumedTo-lost.ResetTo)
	rd.setPosition(partition, kgo.EpochOffset{Epoch: lost.ResetToEpoch, Offset: lost.ResetTo})
}

func (rd *reader) setPosition(partition int32, place kgo.EpochOffset) {
	rd.positionsMu.Lock()
	defer rd.positionsMu.Unlock()
	rd.positions[partition] = place
}

func (rd *reader) take(answer *kgo.Record) {
	switch rd.pending.deliver(correlationOf(answer), func() *record.Record { return kafka.CopyRecord(answer) }) {
	case late:
		rd.cfg.Observer.Late()
		rd.cfg.Log.Debug("an answer came that nobody waits for any more", "topic", answer.Topic,
			"partition", answer.Partition, "offset", answer.Offset)
	case taken, notOurs:
	}
}

// correlationOf returns the value of the last correlation header, as Spring reads it, nil where there is none.
func correlationOf(r *kgo.Record) []byte {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == record.CorrelationHeader {
			return h.Value
		}
	}
	return nil
}

// lookSoon has the topic looked at without waiting for the next time.
func (rd *reader) lookSoon() {
	select {
	case rd.kick <- struct{}{}:
	default:
	}
}

// fetchFailed acts on the error of one partition, and tells whether it cannot be read. Errors that the client gets over
// by itself never come here.
func (rd *reader) fetchFailed(ctx context.Context, f *kgo.FetchPartition) bool {
	err := f.Err
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		if err = rd.toEnd(ctx, f.Partition); err == nil {
			return false
		}
	case errors.Is(err, kerr.UnknownTopicID):
		rd.lookSoon()
	}
	if ctx.Err() == nil {
		place, ok := rd.position(f.Partition)
		if !ok {
			place.Offset = kafka.NoOffset
		}
		rd.state.fetchFailed(f.Partition, fmt.Errorf("partition %d: %w", f.Partition, kafka.ReadError(f, err, place.Offset)))
	}
	return true
}

// toEnd goes on from the end of a partition whose log does not have the place that was read to. There can be any number
// of old answers before the end, and requests of now cannot wait until those are read.
func (rd *reader) toEnd(ctx context.Context, partition int32) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start, err := rd.listed(ctx, partition, rd.adm.ListStartOffsets)
	if err != nil {
		return err
	}
	end, err := rd.listed(ctx, partition, rd.adm.ListEndOffsets)
	if err != nil {
		return err
	}
	if place, ok := rd.position(partition); ok && place.Offset >= start && place.Offset <= end {
		// The replica that was asked is behind the others. Going on from the end would lose answers.
		return fmt.Errorf("the broker refuses offset %d, though the log holds it (%d to %d)", place.Offset, start, end)
	}
	stable, err := rd.listed(ctx, partition, rd.adm.ListCommittedOffsets)
	if err != nil {
		return err
	}
	place := kgo.EpochOffset{Epoch: -1, Offset: stable}
	rd.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{rd.topic: {partition: place}})
	rd.setPosition(partition, place)
	rd.cfg.Log.Warn("the log of the reply topic does not have the place that answers were read to: going on from its end, answers may be lost",
		"topic", rd.topic, "partition", partition, "resumed_at", stable)
	return nil
}

// listed asks for the start or an end of a partition.
func (rd *reader) listed(ctx context.Context, partition int32, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
	listed, err := list(ctx, rd.topic)
	o, ok := listed.Lookup(rd.topic, partition)
	switch {
	case !ok && err != nil:
		return 0, fmt.Errorf("listing the start and the end: %w", err)
	case !ok:
		return 0, fmt.Errorf("listing the start and the end: %w", kerr.UnknownTopicOrPartition)
	case o.Err != nil:
		return 0, fmt.Errorf("listing the start and the end: %w", o.Err)
	}
	return o.Offset, nil
}
