package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// The bounds of one fetch, of all partitions and of each. Kafka gives one batch more where a single one is larger.
	readMaxBytes          = 4 << 20
	readMaxPartitionBytes = 1 << 20
	// readPatience is how long a topic may not be readable before that is an error: a leader moves within seconds.
	readPatience = 30 * time.Second
)

var readingAgain = backoff.Backoff{First: 50 * time.Millisecond, Most: 2 * time.Second}

// TopicReader reads one topic outside of any group, from places that its user keeps. It fetches when it is asked to,
// and holds nothing in between: so a user knows of each record, and of each offset that holds none, that it has passed
// it. It is of one goroutine, and starts none.
type TopicReader struct {
	cl        *kgo.Client
	adm       *kadm.Client
	topic     string
	committed bool
	largest   int64
	open      kgo.Decompressor

	id      kadm.TopicID
	leaders map[int32]int32
	turn    int // which of the leaders is asked first
}

// NewTopicReader makes a reader of a topic, and of its committed records alone where committed is set. largest is what
// a batch may decompress to. [TopicReader.Look] comes first.
func NewTopicReader(cl *kgo.Client, topic string, committed bool, largest int64) (*TopicReader, error) {
	open, err := lend(kgo.MaxDecompressBatchBytes(int(min(largest, maxBatch))))
	if err != nil {
		return nil, err
	}
	return &TopicReader{cl: cl, adm: kadm.NewClient(cl), topic: topic, committed: committed, largest: largest, open: open}, nil
}

// ID is the id of the topic, zero where the broker has none (before 2.8).
func (r *TopicReader) ID() kadm.TopicID { return r.id }

// Look asks for the topic and its partitions, and never creates it. An error that is [kerr.UnknownTopicOrPartition]
// says that there is none.
func (r *TopicReader) Look(ctx context.Context) error {
	details, err := r.adm.Metadata(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("asking for the topic %s: %w", r.topic, err)
	}
	topic := details.Topics[r.topic]
	switch {
	case topic.Err != nil:
		return fmt.Errorf("topic %s: %w", r.topic, topic.Err)
	case r.id != kadm.TopicID{} && topic.ID != r.id:
		return fmt.Errorf("topic %s: %w", r.topic, ErrTopicMadeAnew)
	case len(topic.Partitions) == 0:
		return fmt.Errorf("topic %s: %w", r.topic, kerr.UnknownTopicOrPartition)
	}
	r.id = topic.ID
	r.leaders = make(map[int32]int32, len(topic.Partitions))
	for _, p := range topic.Partitions {
		r.leaders[p.Partition] = p.Leader
	}
	return nil
}

// ErrTopicMadeAnew says that the topic is not the one that was looked at first.
var ErrTopicMadeAnew = errors.New("it was deleted and made anew meanwhile")

// Partitions are those of the topic, sorted.
func (r *TopicReader) Partitions() []int32 { return slices.Sorted(maps.Keys(r.leaders)) }

// Bounds asks where each partition begins and ends; it ends for readers of committed records before the first
// transaction that is open.
func (r *TopicReader) Bounds(ctx context.Context) (starts, ends map[int32]int64, err error) {
	list := r.adm.ListEndOffsets
	if r.committed {
		list = r.adm.ListCommittedOffsets
	}
	if ends, err = r.list("the ends of its partitions", func() (kadm.ListedOffsets, error) { return list(ctx, r.topic) }); err != nil {
		return nil, nil, err
	}
	starts, err = r.list("the starts of its partitions", func() (kadm.ListedOffsets, error) { return r.adm.ListStartOffsets(ctx, r.topic) })
	return starts, ends, err
}

// Ends asks where each partition ends, whatever transactions are open.
func (r *TopicReader) Ends(ctx context.Context) (map[int32]int64, error) {
	return r.list("the ends of its partitions", func() (kadm.ListedOffsets, error) { return r.adm.ListEndOffsets(ctx, r.topic) })
}

// After asks for the first record of each partition whose timestamp is t or later. It is the end where there is none.
func (r *TopicReader) After(ctx context.Context, t time.Time) (map[int32]int64, error) {
	return r.list("the offsets of a time", func() (kadm.ListedOffsets, error) {
		return r.adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), r.topic)
	})
}

func (r *TopicReader) list(what string, ask func() (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	listed, err := ask()
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: asking for %s: %w", r.topic, what, err)
	}
	at := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { at[o.Partition] = o.Offset })
	return at, nil
}

// GoneError says that a place is not in the log of its partition, or not any more.
type GoneError struct {
	Topic     string
	Partition int32
	Place     int64
}

// Error implements error.
func (e *GoneError) Error() string {
	return fmt.Sprintf("topic %s: offset %d of partition %d is not in the log", e.Topic, e.Place, e.Partition)
}

// Unwrap returns what Kafka says.
func (*GoneError) Unwrap() error { return kerr.OffsetOutOfRange }

// Fetch reads from the given places on, and moves each behind what was passed: the records that are returned, and
// offsets that hold none. It waits about so long for records where there are none. What passes by itself, such as
// leaders that move, is tried again for half a minute. A [*GoneError] is for the caller to decide.
func (r *TopicReader) Fetch(ctx context.Context, wait time.Duration, places map[int32]int64) ([]*record.Record, error) {
	var since time.Time
	for failures := 1; ; failures++ {
		records, moved, err := r.fetch(ctx, wait, places)
		_, gone := errors.AsType[*GoneError](err)
		_, broken := errors.AsType[*BatchError](err)
		_, large := errors.AsType[*BatchTooLargeError](err)
		switch {
		case moved || err == nil:
			return records, nil // what failed in another partition fails again
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case gone || broken || large || errors.Is(err, ErrTopicMadeAnew) || refusedToRead(err):
			return nil, err
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > readPatience:
			return nil, err
		}
		if !backoff.Sleep(ctx, readingAgain.Spread(failures)) {
			return nil, ctx.Err()
		}
		if err := r.Look(ctx); errors.Is(err, ErrTopicMadeAnew) {
			return nil, err
		} // any other error is told by the next fetch
	}
}

// refusedToRead tells of an answer that is the same each time.
func refusedToRead(err error) bool {
	answer, ok := errors.AsType[*kerr.Error](err)
	return ok && !answer.Retriable
}

// fetch asks the leaders one after the other, until one has something.
func (r *TopicReader) fetch(ctx context.Context, wait time.Duration, places map[int32]int64) (records []*record.Record, moved bool, err error) {
	byLeader := make(map[int32][]int32)
	for _, p := range slices.Sorted(maps.Keys(places)) {
		leader, ok := r.leaders[p]
		if !ok || leader < 0 {
			err = fmt.Errorf("topic %s: partition %d: %w", r.topic, p, kerr.LeaderNotAvailable)
			continue
		}
		byLeader[leader] = append(byLeader[leader], p)
	}
	leaders := slices.Sorted(maps.Keys(byLeader))
	for i := range leaders {
		leader := leaders[(i+r.turn)%len(leaders)]
		got, movedHere, errHere := r.ask(ctx, leader, wait/time.Duration(len(leaders)), byLeader[leader], places)
		if errHere != nil {
			err = errHere
		}
		if movedHere {
			r.turn += i + 1
			return got, true, err
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
	return nil, false, err
}

func (r *TopicReader) ask(ctx context.Context, leader int32, wait time.Duration, partitions []int32, places map[int32]int64) (
	records []*record.Record, moved bool, err error,
) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = -1, readMaxBytes, 1, int32(wait.Milliseconds())
	if r.committed {
		req.IsolationLevel = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = r.topic, r.id
	for _, id := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = id, places[id], readMaxPartitionBytes
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	answer, err := r.cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, false, fmt.Errorf("reading topic %s: %w", r.topic, err)
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, false, fmt.Errorf("reading topic %s: the client answered with %T", r.topic, answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, false, fmt.Errorf("reading topic %s: %w", r.topic, err)
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			got, next, errHere := r.take(p, places[p.Partition])
			if errHere != nil {
				err = errHere
			}
			if next > places[p.Partition] {
				places[p.Partition], moved = next, true
				records = append(records, got...)
			}
		}
	}
	return records, moved, err
}

// take makes records of the answer for one partition. next is the offset to be read next.
func (r *TopicReader) take(p *kmsg.FetchResponseTopicPartition, at int64) (records []*record.Record, next int64, err error) {
	opts := kgo.ProcessFetchPartitionOpts{Offset: at, Topic: r.topic, Partition: p.Partition}
	if r.committed {
		opts.IsolationLevel = kgo.ReadCommitted()
	}
	read, next := kgo.ProcessFetchPartition(opts, p, r.open, nil)
	for _, rec := range read.Records {
		records = append(records, CopyRecord(rec))
	}
	where := func(err error) error { return fmt.Errorf("topic %s: partition %d: %w", r.topic, p.Partition, err) }
	_, answered := errors.AsType[*kerr.Error](read.Err)
	switch {
	case read.Err == nil:
	case errors.Is(read.Err, kerr.OffsetOutOfRange):
		err = &GoneError{r.topic, p.Partition, at}
	case errors.Is(read.Err, kgo.ErrMaxDecompress):
		err = where(&BatchTooLargeError{Limit: r.largest, Setting: "max_message_bytes"})
	case answered:
		err = where(read.Err)
	default:
		err = where(&BatchError{Offset: next, Err: read.Err})
	}
	return records, next, err
}
