package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// StableEvery is the time between two calls of [StableOffsets.Look].
	StableEvery = 5 * time.Second
	// OpenAfter is how long a last stable offset may stand, as it does while a transaction is open, before that is
	// reported.
	OpenAfter = 20 * time.Second
)

// StableOffsets watches the last stable offsets of partitions that are read up to there: a reader of committed records
// gets nothing beyond the first open transaction, and Kafka gives that no error and no lag. The zero value is ready;
// its methods may be called by many goroutines at once.
type StableOffsets struct {
	mu   sync.Mutex
	open map[topicPartition]*OpenTransaction
}

type topicPartition struct {
	topic     string
	partition int32
}

// OpenTransaction is a last stable offset that is behind the end of its partition.
type OpenTransaction struct {
	Topic     string
	Partition int32
	// Offset is the last stable offset, and End the end behind it.
	Offset, End int64
	// Since is when it was first seen there.
	Since time.Time
	// ProducerID is the producer of the open transaction, -1 where it is not known, and WroteLast when that wrote to the
	// partition last, by its own clock.
	ProducerID int64
	WroteLast  time.Time
}

// String says what stands, since when, and what can be done.
func (s *OpenTransaction) String() string {
	producer := ""
	if s.ProducerID >= 0 {
		producer = fmt.Sprintf(" (producer id %d, which wrote last at %s)", s.ProducerID,
			s.WroteLast.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the last stable offset of %s/%d stands at %d since %s: a transaction that began there%s is still open, and %d offsets behind it cannot be read until it ends; where its producer is gone, kafka-transactions.sh abort --topic %s --partition %d --start-offset %d ends it",
		s.Topic, s.Partition, s.Offset, s.Since.UTC().Format(time.RFC3339), producer, s.End-s.Offset, s.Topic,
		s.Partition, s.Offset)
}

// Look asks for the partitions, which are all that are watched from now on. Those whose leaders do not answer stay as
// they were.
func (s *StableOffsets) Look(ctx context.Context, cl *kgo.Client, partitions map[string][]int32) {
	// The ends first: what is behind the end of then and not stable now belongs to a transaction that is open now.
	ends := listEnds(ctx, cl, partitions, 0)
	stable := listEnds(ctx, cl, partitions, 1)
	if long := s.note(time.Now(), partitions, ends, stable); len(long) > 0 {
		s.describe(ctx, cl, long)
	}
}

// note takes the answers in, and returns the places that have stood for long.
func (s *StableOffsets) note(now time.Time, partitions map[string][]int32, ends, stable map[topicPartition]int64) []topicPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	watched := make(map[topicPartition]*OpenTransaction)
	var long []topicPartition
	for topic, ids := range partitions {
		for _, id := range ids {
			p := topicPartition{topic, id}
			end, ended := ends[p]
			offset, listed := stable[p]
			old := s.open[p]
			switch {
			case (!ended || !listed) && old != nil:
				watched[p] = old
			case !ended || !listed || offset >= end:
			case old != nil && old.Offset == offset:
				old.End = end
				watched[p] = old
				if now.Sub(old.Since) >= OpenAfter {
					long = append(long, p)
				}
			default:
				watched[p] = &OpenTransaction{Topic: topic, Partition: id, Offset: offset, End: end, Since: now, ProducerID: -1}
			}
		}
	}
	s.open = watched
	return long
}

// describe finds out whose transactions are open. Transactions that cannot be described, as by brokers before Kafka
// 2.8, are left out.
func (s *StableOffsets) describe(ctx context.Context, cl *kgo.Client, long []topicPartition) {
	var topics kadm.TopicsSet
	for _, p := range long {
		topics.Add(p.topic, p.partition)
	}
	described, err := kadm.NewClient(cl).DescribeProducers(ctx, topics)
	if err != nil && len(described) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	described.EachProducer(func(producer kadm.DescribedProducer) {
		standing := s.open[topicPartition{producer.Topic, producer.Partition}]
		if standing != nil && producer.CurrentTxnStartOffset == standing.Offset {
			standing.ProducerID, standing.WroteLast = producer.ProducerID, time.UnixMilli(producer.LastTimestamp)
		}
	})
}

// OpenTransactions returns what has stood for longer than [OpenAfter], sorted by topic and partition.
func (s *StableOffsets) OpenTransactions(now time.Time) []OpenTransaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []OpenTransaction
	for standing := range maps.Values(s.open) {
		if now.Sub(standing.Since) >= OpenAfter {
			list = append(list, *standing)
		}
	}
	slices.SortFunc(list, func(a, b OpenTransaction) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}

// EndsRequest asks for the ends of partitions, by topic: with the isolation level 0 their high watermarks, with 1 their
// last stable offsets.
func EndsRequest(partitions map[string][]int32, isolation int8) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	for topic, ids := range partitions {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, id := range ids {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = id, -1 // the end
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// listEnds asks the leaders of partitions for their ends by an isolation level, and leaves out those that do not tell.
func listEnds(ctx context.Context, cl *kgo.Client, partitions map[string][]int32, isolation int8) map[topicPartition]int64 {
	req := EndsRequest(partitions, isolation)
	found := make(map[topicPartition]int64)
	if len(req.Topics) == 0 {
		return found
	}
	for _, shard := range cl.RequestSharded(ctx, req) {
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if shard.Err != nil || !ok {
			continue
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if kerr.ErrorForCode(p.ErrorCode) == nil && p.Offset >= 0 {
					found[topicPartition{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return found
}
