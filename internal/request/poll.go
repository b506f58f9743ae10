package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"messaging-kafka/internal/record"
)

const (
	maxPoll = 1000
	// errorPause keeps a partition that answers every fetch with an error from being asked without a break.
	errorPause = 500 * time.Millisecond
)

// poll hands answers to the requests that wait for them, until ctx ends.
func (rd *reader) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := rd.cl.PollRecords(ctx, maxPoll)
		failed := false
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if f.Topic == "" {
				return // the end of ctx
			}
			if f.Err != nil {
				failed = true
				rd.fetchFailed(ctx, f.Partition, f.Err)
			} else {
				rd.state.fetched(f.Partition)
			}
			for _, answer := range f.Records {
				rd.take(answer)
			}
		})
		if failed {
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
		}
	}
}

func (rd *reader) take(answer *kgo.Record) {
	switch rd.pending.deliver(correlationOf(answer), func() *record.Record { return copyRecord(answer) }) {
	case late:
		rd.cfg.Observer.Late()
		rd.cfg.Log.Debug("An answer came that nobody waits for any more", "topic", answer.Topic,
			"partition", answer.Partition, "offset", answer.Offset)
	case taken, foreign:
	}
}

// correlationOf returns the value of the last correlation header, as Spring reads it, nil where there is none.
func correlationOf(r *kgo.Record) []byte {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == record.CorrelationHeader {
			return r.Headers[i].Value
		}
	}
	return nil
}

// copyRecord frees the client's buffer, which would live as long as any answer out of it.
func copyRecord(f *kgo.Record) *record.Record {
	r := &record.Record{
		Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, LeaderEpoch: f.LeaderEpoch, Timestamp: f.Timestamp,
		Key: bytes.Clone(f.Key), Value: bytes.Clone(f.Value),
	}
	for _, h := range f.Headers {
		r.Headers = append(r.Headers, record.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return r
}

// fetchFailed acts on the error of one partition. Errors that the client gets over by itself never come here.
func (rd *reader) fetchFailed(ctx context.Context, partition int32, err error) {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.As(err, &lost):
		rd.cfg.Log.Warn("The broker lost answers that were read already: reading goes on from where its log ends",
			"topic", rd.topic, "partition", partition, "read_to", lost.ConsumedTo, "from", lost.ResetTo)
		return
	case errors.Is(err, kerr.OffsetOutOfRange):
		if err = rd.toEnd(ctx, partition); err == nil {
			return
		}
	case errors.Is(err, kerr.UnknownTopicID):
		select {
		case rd.kick <- struct{}{}:
		default:
		}
	}
	if ctx.Err() == nil {
		rd.state.fetchFailed(partition, fmt.Errorf("partition %d: %w", partition, err))
	}
}

// toEnd goes on from the end of a partition whose log does not have the place that was read to. What lies before the
// end can be any amount of answers of old, and the requests of now cannot wait for those to be read.
func (rd *reader) toEnd(ctx context.Context, partition int32) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	listed, err := rd.adm.ListCommittedOffsets(ctx, rd.topic)
	end, ok := listed.Lookup(rd.topic, partition)
	switch {
	case !ok && err != nil:
		return fmt.Errorf("listing the end: %w", err)
	case !ok:
		return fmt.Errorf("listing the end: %w", kerr.UnknownTopicOrPartition)
	case end.Err != nil:
		return fmt.Errorf("listing the end: %w", end.Err)
	}
	rd.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{rd.topic: {partition: {Epoch: -1, Offset: end.Offset}}})
	rd.cfg.Log.Warn("The log of the reply topic does not have the place that answers were read to: going on from its end, answers may be lost",
		"topic", rd.topic, "partition", partition, "resumed_at", end.Offset)
	return nil
}
