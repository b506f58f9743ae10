package request

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// counts is an Observer.
type counts struct{ answered, timedOut, late atomic.Int64 }

func (c *counts) Answered(time.Duration) { c.answered.Add(1) }
func (c *counts) TimedOut()              { c.timedOut.Add(1) }
func (c *counts) Late()                  { c.late.Add(1) }

func (c *counts) want(t *testing.T, answered, timedOut, late int64) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if a, o, l := c.answered.Load(), c.timedOut.Load(), c.late.Load(); a != answered || o != timedOut || l != late {
			return errors.New("counts differ")
		}
		return nil
	})
}

func cluster(brokers []string) settings.Cluster {
	return settings.Cluster{
		Hosts: brokers, ClientID: "test", MetadataMaxAge: time.Minute,
		DialTimeout: 2 * time.Second, RequestTimeout: 5 * time.Second,
		Security: settings.Security{Protocol: settings.Plaintext},
	}
}

// config is that of a link whose requests are published as in production.
func config(t *testing.T, brokers []string) (Config, *counts) {
	t.Helper()
	access, err := kafka.NewAccess(cluster(brokers), nil)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := produce.NewPool(produce.Options{}).Acquire(cluster(brokers), settings.ProducerClient{
		Acks: settings.AcksAll, Idempotent: true, MaxMessageBytes: 1_000_000, Compression: settings.CompressionNone,
		Partitioner: settings.PartitionerMurmur2, PublishTimeout: testkit.DefaultTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = handle.Release(ctx) // an error tells of records that a test left behind on purpose
	})
	seen := new(counts)
	return Config{
		Settings: settings.Request{ReplyTopic: "answers", ReplyPartition: record.AnyPartition},
		Create:   settings.CreateTopics{Partitions: -1, Replication: -1},
		Access:   access,
		Publish:  produce.NewPublisher(handle, settings.Producer{}, settings.CreateTopics{}, nil).Publish,
		Observer: seen,
		Log:      testkit.Logger(t),
	}, seen
}

// publishWhole makes a request end in the wait for its answer, not before that in its publish.
func publishWhole(cfg *Config) {
	publish := cfg.Publish
	cfg.Publish = func(ctx context.Context, outs ...record.Outgoing) []record.Result {
		return publish(context.WithoutCancel(ctx), outs...)
	}
}

// neverPublish makes a publish a failure of the test.
func neverPublish(t *testing.T, cfg *Config) {
	cfg.Publish = func(context.Context, ...record.Outgoing) []record.Result {
		t.Error("it was published")
		return []record.Result{{Err: errors.New("published")}}
	}
}

// start starts a requester that is stopped when the test ends.
func start(t *testing.T, cfg Config) *Requester {
	t.Helper()
	r := Start(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		r.Stop(ctx)
		if ctx.Err() != nil {
			t.Error("the requester does not stop")
		}
		if n := r.Pending(); n != 0 {
			t.Errorf("%d requests are left over", n)
		}
	})
	return r
}

func ready(t *testing.T, r *Requester) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if p := r.Problems(); len(p) > 0 {
			return errors.New(p[0].Text)
		}
		return nil
	})
}

// ask sends a request with text as its value.
func ask(t *testing.T, r *Requester, text string) (*record.Record, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	return r.Do(ctx, request(text))
}

func request(text string) record.Outgoing {
	return record.Outgoing{Topic: "requests", Partition: record.AnyPartition, Value: []byte(text)}
}

// mustAnswer asks and wants the answer of [replier.answer].
func mustAnswer(t *testing.T, r *Requester, text string) *record.Record {
	t.Helper()
	answer, err := ask(t, r, text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(answer.Value), "re: "+text; got != want {
		t.Fatalf("the answer is %q, want %q", got, want)
	}
	return answer
}

// replier answers requests as an application with Spring's @KafkaListener and @SendTo does, by a plain Kafka client.
// The names and forms of headers are written out here: they are what is tested.
type replier struct {
	t  *testing.T
	cl *kgo.Client
}

// newReplier hands each request to handle, one after another, until the test ends.
func newReplier(t *testing.T, brokers []string, handle func(*replier, *kgo.Record)) *replier {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("requests"),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.UnknownTopicRetries(-1), kgo.DialTimeout(2*time.Second),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(r *kgo.Record, n int) int {
				if r.Partition >= 0 {
					return int(r.Partition)
				}
				return rand.IntN(n)
			}
		})),
	)
	if err != nil {
		t.Fatal(err)
	}
	rp := &replier{t: t, cl: cl}
	ctx, cancel := context.WithCancel(context.Background())
	var polling sync.WaitGroup
	polling.Go(func() {
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { handle(rp, r) })
		}
	})
	t.Cleanup(func() {
		cancel()
		polling.Wait()
		cl.Close()
	})
	return rp
}

func header(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

// answer is the answer to a request, where the request wants it.
func answer(request *kgo.Record) *kgo.Record {
	a := &kgo.Record{
		Topic: string(header(request, "kafka_replyTopic")), Partition: -1,
		Value:   append([]byte("re: "), request.Value...),
		Headers: []kgo.RecordHeader{{Key: "kafka_correlationId", Value: header(request, "kafka_correlationId")}},
	}
	if p := header(request, "kafka_replyPartition"); p != nil {
		a.Partition = int32(binary.BigEndian.Uint32(p))
	}
	return a
}

// send produces answers, and does not wait for them to be stored.
func (rp *replier) send(answers ...*kgo.Record) {
	for _, a := range answers {
		rp.cl.Produce(context.Background(), a, func(_ *kgo.Record, err error) {
			if err != nil && !errors.Is(err, kgo.ErrClientClosed) {
				rp.t.Errorf("answering: %v", err)
			}
		})
	}
}

// echo answers at once.
func echo(rp *replier, request *kgo.Record) { rp.send(answer(request)) }
