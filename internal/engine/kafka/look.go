package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Found is what [LookAt] found at a place in a partition.
type Found uint8

const (
	// FoundNothing is a partition that can be read and has nothing from that place on.
	FoundNothing Found = iota
	// FoundBatch is a partition that has a batch there, which can be read.
	FoundBatch
	// FoundUnopened is a partition that has a batch there, of which it is not known whether it can be read: it is
	// compressed.
	FoundUnopened
)

// ErrNoAnswer is wrapped by errors of [LookAt] that say nothing about the partition: the cluster did not answer, or not
// in time.
var ErrNoAnswer = errors.New("the cluster does not answer")

var errUnopened = errors.New("the batch is not opened")

// unopened is a decompressor that opens nothing: what a batch becomes has no bound.
type unopened struct{}

func (unopened) Decompress([]byte, kgo.CompressionCodecType) ([]byte, error) { return nil, errUnopened }

// LookAt fetches a partition from an offset on, past what the client reads by itself: that tells of records and of some
// errors, and never that a partition without records can be read again. The error is that of the partition. No more
// than one batch is fetched.
func LookAt(ctx context.Context, cl *kgo.Client, topic string, partition int32, at int64,
	committed bool) (Found, error) {
	details, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	detail, ok := details.Topics[topic].Partitions[partition]
	switch {
	case details.Topics[topic].Err != nil:
		return 0, details.Topics[topic].Err
	case !ok:
		return 0, kerr.UnknownTopicOrPartition
	case detail.Err != nil:
		return 0, detail.Err
	}
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = -1, 1, 0, 0
	if committed {
		req.IsolationLevel = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, details.Topics[topic].ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at, 1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := cl.Broker(int(detail.Leader)).Request(ctx, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, fmt.Errorf("%w: fetching: %w", ErrNoAnswer, err)
	case err != nil:
		return 0, fmt.Errorf("fetching: %w", err)
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return 0, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			return foundIn(&resp.Topics[i].Partitions[j], topic, at, committed)
		}
	}
	return 0, fmt.Errorf("%w: the broker tells nothing of the partition", ErrNoAnswer)
}

func foundIn(p *kmsg.FetchResponseTopicPartition, topic string, at int64, committed bool) (Found, error) {
	if p.ErrorCode == 0 && len(p.RecordBatches) == 0 {
		return FoundNothing, nil
	}
	opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: at, Topic: topic, Partition: p.Partition}
	if committed {
		opts.IsolationLevel = kgo.ReadCommitted()
	}
	read, next := kgo.ProcessFetchPartition(opts, p, unopened{}, nil)
	_, answered := errors.AsType[*kerr.Error](read.Err)
	switch {
	case errors.Is(read.Err, errUnopened):
		return FoundUnopened, nil
	case answered:
		return 0, read.Err
	case read.Err != nil:
		return 0, &BatchError{Offset: at, Err: read.Err}
	case len(read.Records) == 0 && next > at:
		return FoundNothing, nil // what compaction or an aborted transaction has left
	case len(read.Records) == 0:
		return 0, &BatchError{Offset: at, Err: errors.New("its records cannot be told apart")}
	}
	return FoundBatch, nil
}
