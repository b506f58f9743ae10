package produce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// kafkaCluster is an in-process cluster.
type kafkaCluster struct {
	*kfake.Cluster
	t    testing.TB
	addr string
}

func startKafka(t testing.TB, opts ...kfake.Opt) *kafkaCluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &kafkaCluster{Cluster: cluster, t: t, addr: cluster.ListenAddrs()[0]}
}

func (k *kafkaCluster) settings() settings.Cluster {
	return settings.Cluster{
		Hosts: []string{k.addr}, ClientID: "test", MetadataMaxAge: time.Minute,
		DialTimeout: 5 * time.Second, RequestTimeout: 10 * time.Second,
		Security: settings.Security{Protocol: settings.Plaintext},
	}
}

func producerSettings() settings.ProducerClient {
	return settings.ProducerClient{
		Acks: settings.AcksAll, Idempotent: true, Compression: settings.CompressionNone, MaxMessageBytes: 1_000_000,
		Partitioner: settings.PartitionerMurmur2, PublishTimeout: 20 * time.Second,
	}
}

// acquire returns a publisher without restrictions, which is released at the end of the test.
func acquire(t testing.TB, pool *Pool, cluster settings.Cluster, producer settings.ProducerClient) *Publisher {
	t.Helper()
	handle, err := pool.Acquire(cluster, producer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now. Tests leave records behind on purpose, so an error is none.
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = handle.Release(ctx)
	})
	return NewPublisher(handle, settings.Producer{}, settings.CreateTopics{}, nil)
}

// limited returns a publisher for a link, by what another one has.
func limited(p *Publisher, link settings.Producer, create settings.CreateTopics) *Publisher {
	return NewPublisher(p.handle.Load(), link, create, nil)
}

// endRecords has the time of the records that a client is given from now on be over when the returned function is
// called.
func endRecords(t testing.TB, c *client) (over func()) {
	t.Helper()
	ctx, over := testkit.Ending(t)
	c.deadlines = deadline.New(ctx, time.Hour, time.Hour, nil)
	return over
}

// waitFailure waits until a client has met a failure of Kafka whose explanation has a word in it.
func waitFailure(t testing.TB, c *client, word string) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		failure := c.access.LastFailure()
		if failure == nil {
			return errors.New("nothing has failed")
		}
		if text := c.access.Explain(failure).Text; !strings.Contains(text, word) {
			return fmt.Errorf("what has failed is: %s", text)
		}
		return nil
	})
}

// wantAwayOrLate checks an error of Kafka that is out of reach, where it is a matter of moments whether that is known.
func wantAwayOrLate(t *testing.T, err error, words ...string) {
	t.Helper()
	failed, ok := errors.AsType[*Error](err)
	if !ok || failed.Class != ClassUnavailable && failed.Class != ClassTimedOut {
		t.Fatalf("got %v", err)
	}
	wantError(t, err, failed.Class, words...)
}

// beginPublish publishes one record beside the test.
func beginPublish(ctx context.Context, p *Publisher, out record.Outgoing) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := publish(ctx, p, out)
		ended <- err
	}()
	return ended
}

// publish publishes one record.
func publish(ctx context.Context, p *Publisher, out record.Outgoing) (record.Position, error) {
	result := p.Publish(ctx, out)[0]
	return result.Position, result.Err
}

// produceAll stores records as they are, and returns the first error.
func produceAll(ctx context.Context, p *Publisher, records ...record.Outgoing) (positions []record.Position,
	first error) {
	for _, result := range p.Send(ctx, records...) {
		positions = append(positions, result.Position)
		if first == nil {
			first = result.Err
		}
	}
	return positions, first
}

// records reads what is in a partition, up to its end.
func (k *kafkaCluster) records(topic string, partition int32) []*kgo.Record {
	k.t.Helper()
	info := k.PartitionInfo(topic, partition)
	if info == nil {
		k.t.Fatalf("there is no partition %d of %s", partition, topic)
	}
	var records []*kgo.Record
	if info.HighWatermark == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {partition: kgo.NewOffset().At(0)},
	}))
	if err != nil {
		k.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for int64(len(records)) < info.HighWatermark {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			k.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// answer makes the cluster answer all requests of one kind as fn says, where it says something.
func (k *kafkaCluster) answer(key kmsg.Key, fn func(kmsg.Request) (kmsg.Response, error, bool)) {
	k.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return fn(req)
	})
}

// failProduce answers a produce request with an error for each partition.
func failProduce(req kmsg.Request, code int16) (kmsg.Response, error, bool) {
	produce := req.(*kmsg.ProduceRequest)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range produce.Topics {
		answered := kmsg.NewProduceResponseTopic()
		answered.Topic, answered.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, code
			answered.Partitions = append(answered.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answered)
	}
	return resp, nil, true
}

func outgoing(topic, value string) record.Outgoing {
	return record.Outgoing{Topic: topic, Partition: record.AnyPartition, Value: []byte(value)}
}

// wantError checks an error's class, and that its text has the words and none of the secret.
func wantError(t *testing.T, err error, class Class, words ...string) {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error of class %s", err, class)
	}
	if failed.Class != class {
		t.Errorf("class %q, want %q: %v", failed.Class, class, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the text lacks %q: %v", word, err)
		}
	}
	if strings.Contains(err.Error(), "EOF") {
		t.Errorf("the text is not fit to be shown: %v", err)
	}
}

func quiet() Options { return Options{Logger: slog.New(slog.DiscardHandler)} }
