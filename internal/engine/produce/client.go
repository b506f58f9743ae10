package produce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/base/turn"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// bufferBytes bounds the records of one producer that wait for their acknowledgement.
	bufferBytes = 64 << 20
	// recordCost is what a record counts in the buffer besides its bytes, so that a flood of empty records is
	// bounded too.
	recordCost = 512
	// unknownTopicRetries is how often metadata is asked for a topic that the broker says it does not know: once
	// more than needed for a topic that was created a moment ago through another broker.
	unknownTopicRetries = 3
)

// client is one Kafka producer.
type client struct {
	producer settings.ProducerClient
	access   *kafka.Access
	log      *slog.Logger

	// opts are those of kgo, which is exchanged where it is of no more use; see [client.renew]. mu protects it.
	opts     []kgo.Opt
	kgo      *kgo.Client
	buffer   *semaphore.Weighted
	oneByOne oneByOne
	// deadlines are those of records, waits those of who waits for them.
	deadlines, waits *deadline.Shared
	// written counts the Produce requests that brokers have been sent, in part at least; see [sentConn].
	written atomic.Uint64
	// identified says that the brokers let this producer be idempotent, where it has to be.
	identified  atomic.Bool
	identifying turn.Turn

	creating    creations
	recreations recreations

	// mu guards kgo, closing, and sends against growing once that is set.
	mu      sync.Mutex
	closing bool
	sends   sync.WaitGroup // the running calls of send
}

func (p *Pool) newClient(cluster settings.Cluster, producer settings.ProducerClient) (*client, error) {
	access, err := kafka.NewAccess(cluster, p.log)
	if err != nil {
		return nil, err
	}
	access.Watch(p.hooks...)
	access.ConnectBy(p.connect)
	access.Redact(p.secrets)
	c := &client{producer: producer, access: access, log: p.log, identifying: turn.New()}
	opts, err := producerOptions(cluster, producer)
	if err != nil {
		return nil, err
	}
	opts = append(append(access.Options(), kgo.Dialer(c.dial)), opts...)
	c.opts = opts
	if c.kgo, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	c.buffer = semaphore.NewWeighted(c.bufferSize())
	c.deadlines, c.waits = newDeadlines(c.publishTimeout()), newWaits(c.publishTimeout())
	c.oneByOne.init(append(slices.Clone(opts), kgo.ProducerBatchMaxBytes(largestBatch(producer))))
	return c, nil
}

// client is the Kafka client in use.
func (c *client) client() *kgo.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kgo
}

func (c *client) admin() *kadm.Client { return kadm.NewClient(c.client()) }

// renew makes another Kafka client in the place of one that has had no records yet and will take none: it keeps for
// ever that a broker gave it no producer id, whatever brokers say later.
func (c *client) renew(unusable *kgo.Client) error {
	made, err := kgo.NewClient(c.opts...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.closing || c.kgo != unusable {
		unusable = made
	} else {
		c.kgo = made
	}
	c.mu.Unlock()
	unusable.Close()
	return nil
}

// bufferSize has room for one record of the largest size in any case.
func (c *client) bufferSize() int64 {
	return max(bufferBytes, int64(c.producer.MaxMessageBytes)+recordCost)
}

func (c *client) publishTimeout() time.Duration {
	if t := c.producer.PublishTimeout; t > 0 {
		return t
	}
	return 30 * time.Second
}

// brokerDefault is a broker's message.max.bytes where nobody has set it.
const brokerDefault = 1<<20 + 12

// batchBytes is up to where batches are filled: to hold one record of max_message_bytes, but not a few bytes beyond
// what brokers take by default, or full batches of small records would be refused by them as a whole. The few
// records in between go through [alone], if their topic takes them.
func batchBytes(p settings.ProducerClient) int32 {
	batch := largestBatch(p)
	if p.MaxMessageBytes <= brokerDefault {
		return min(batch, brokerDefault)
	}
	return batch
}

func largestBatch(p settings.ProducerClient) int32 { return p.MaxMessageBytes + frameOverhead }

func producerOptions(cluster settings.Cluster, p settings.ProducerClient) ([]kgo.Opt, error) {
	batch := batchBytes(p)
	opts := []kgo.Opt{
		// Without a linger, a record that comes alone leaves at once, and those that come while a request is under
		// way gather into the next; the client's own default would hold each record back for 10 ms.
		kgo.ProducerLinger(p.Linger),
		kgo.ProducerBatchMaxBytes(batch),
		// The client counts its whole request against this, whose default is 100 MiB.
		kgo.BrokerMaxWriteBytes(max(100<<20, largestBatch(p)+64<<10)),
		kgo.RecordPartitioner(partitioner{p.Partitioner}),
		kgo.UnknownTopicRetries(unknownTopicRetries),
		// The buffer is bounded by our own semaphore, on which waiting ends with the caller's context; the client's
		// bound is out of its reach, or a caller could be stuck behind records of others.
		kgo.MaxBufferedRecords(bufferBytes/recordCost + 1),
		// There is no RecordDeliveryTimeout: it counts from the record's timestamp, which a dead letter has from
		// its original. The record's context ends instead.
	}
	timeout := p.PublishTimeout
	if r := cluster.RequestTimeout; r > 0 && (timeout <= 0 || r < timeout) {
		timeout = r
	}
	if timeout > 0 {
		opts = append(opts, kgo.ProduceRequestTimeout(max(timeout, 100*time.Millisecond)))
	}
	if !p.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	switch p.Acks {
	case settings.AcksAll, "":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case settings.AcksLeader:
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	case settings.AcksNone:
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	default:
		return nil, fmt.Errorf("unknown acks %q", p.Acks)
	}
	var codec kgo.CompressionCodec
	switch p.Compression {
	case settings.CompressionNone, "":
		codec = kgo.NoCompression()
	case settings.CompressionGzip:
		codec = kgo.GzipCompression()
	case settings.CompressionSnappy:
		codec = kgo.SnappyCompression()
	case settings.CompressionLZ4:
		codec = kgo.Lz4Compression()
	case settings.CompressionZstd:
		codec = kgo.ZstdCompression()
	default:
		return nil, fmt.Errorf("unknown compression %q", p.Compression)
	}
	return append(opts, kgo.ProducerBatchCompression(codec)), nil
}

// latest is the end of the times that the client can send: it turns them into nanoseconds on their way to Kafka's
// milliseconds.
var latest = time.Unix(0, math.MaxInt64)

// check refuses what can be known to fail before Kafka is asked.
func (c *client) check(r *record.Outgoing, bytes int) *Error {
	if text := record.TopicNameFault(r.Topic); text != "" {
		return invalid(r.Topic, text)
	}
	// Kafka counts the partitions of a topic in an int32, so that the largest one is no index of any.
	if r.Partition < record.AnyPartition || r.Partition == math.MaxInt32 {
		return invalid(r.Topic, fmt.Sprintf("there is no partition %d, and no topic can have it", r.Partition))
	}
	if r.Timestamp.After(latest) {
		return invalid(r.Topic, fmt.Sprintf("the timestamp %d is too late: it counts milliseconds since 1970, not micro- or nanoseconds", r.Timestamp.UnixMilli()))
	}
	if limit := int(c.producer.MaxMessageBytes); bytes > limit {
		return &Error{Class: ClassTooLarge, Topic: r.Topic, Size: bytes, Limit: limit, Text: beyondMaxMessageBytes(bytes, limit)}
	}
	return nil
}

// beyondMaxMessageBytes says why a record is not sent that is larger than the setting.
func beyondMaxMessageBytes(bytes, limit int) string {
	return fmt.Sprintf("the record is too large: its key, value and headers have %d bytes, and max_message_bytes is %d; send less or raise max_message_bytes (and the topic's max.message.bytes, if that is lower)", bytes, limit)
}

// enter begins a call of send, which leave ends. It reports false where the client is being closed.
func (c *client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.sends.Add(1)
	return true
}

func (c *client) leave() { c.sends.Done() }

// close waits within ctx for what is sent, and closes in any case.
func (c *client) close(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		c.sends.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
		err = c.client().Flush(ctx) // there may be records for which nobody waits any more
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.client().Close()
	c.oneByOne.close()
	<-ended // soon: the client fails all that it still has
	if err != nil {
		return fmt.Errorf("waiting for Kafka to acknowledge the last records: %w", context.Cause(ctx))
	}
	return nil
}

// oneByOne is a second client through which records travel one by one, each in a batch of its own. It exists for
// topics whose max.message.bytes is lower than max_message_bytes: the client fills batches up to the latter, and
// the broker refuses a batch of many small records as a whole. Kafka's Java client splits such a batch; this one
// leaves that to its user.
type oneByOne struct {
	opts []kgo.Opt
	turn chan struct{} // one record at a time

	warned sync.Once

	mu     sync.Mutex
	kgo    *kgo.Client // made when it is first needed
	closed bool
}

func (a *oneByOne) init(opts []kgo.Opt) {
	a.opts = opts
	a.turn = make(chan struct{}, 1)
}

func (a *oneByOne) client() (*kgo.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, kgo.ErrClientClosed
	}
	if a.kgo == nil {
		made, err := kgo.NewClient(a.opts...)
		if err != nil {
			return nil, err
		}
		a.kgo = made
	}
	return a.kgo, nil
}

// drop has the next record go by another client than one that keeps for ever that it got no producer id. It is called
// by whoever has the turn.
func (a *oneByOne) drop(unusable *kgo.Client) {
	a.mu.Lock()
	if a.kgo == unusable && !a.closed {
		a.kgo = nil
	}
	a.mu.Unlock()
	unusable.Close()
}

func (a *oneByOne) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.kgo != nil {
		a.kgo.Close()
	}
}

// sendOneByOne sends a record in a batch of its own and waits for it. An error says that it is not known what became of
// it, or that it was not sent.
func (c *client) sendOneByOne(p *callerLimit, r *record.Outgoing) (*inFlight, error) {
	ctx := p.context()
	select {
	case c.oneByOne.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errTurn
	}
	to, err := c.oneByOne.client()
	if err != nil {
		<-c.oneByOne.turn
		return nil, err
	}
	if c.producer.Idempotent {
		if _, _, err := to.ProducerID(ctx); final(err) {
			c.oneByOne.drop(to)
			<-c.oneByOne.turn
			return nil, err
		}
	}
	done := make(chan int, 1)
	s := c.newSending(1, done)
	f := &s.inFlight[0]
	s.finished = func(sent *kgo.Record, err error) {
		<-c.oneByOne.turn
		s.acknowledged(sent, err)
	}
	s.produce(to, f, r)
	select {
	case <-done:
		return f, nil
	case <-ctx.Done():
		return nil, errUndecided
	}
}

var (
	errTurn      = errors.New("other records are being sent one by one first")
	errUndecided = errors.New("not acknowledged yet")
)
