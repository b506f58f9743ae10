package consume

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var codecs = map[string]kgo.CompressionCodec{
	"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// compressor is a producer whose batches may be of any size before they are compressed.
func compressor(t *testing.T, brokers []string, codec kgo.CompressionCodec) *testkit.Client {
	return testkit.NewClient(t, brokers, kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(512<<20), kgo.BrokerMaxWriteBytes(600<<20),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(50*time.Millisecond), kgo.MaxBufferedBytes(2<<30), kgo.MaxBufferedRecords(1<<20))
}

// liveHeap is what is in use, garbage apart.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func to(partition int32, value string) *kgo.Record {
	return &kgo.Record{Topic: "t", Partition: partition, Value: []byte(value)}
}

func protocols() []string { return []string{"classic", "consumer", "share", "transactions"} }

// startBy starts a consumer by a group protocol, or with transactions, whose component takes what comes.
func startBy(t *testing.T, k *testkit.FakeKafka, protocol string, h *handler, config map[string]string, account *memory.Account) *copyOf {
	t.Helper()
	full := map[string]string{"topic": "t", "order": "none"}
	if protocol != "transactions" {
		full["group_protocol"] = protocol
	}
	maps.Copy(full, config)
	full["transactions"] = fmt.Sprint(protocol == "transactions")
	return startWith(t, k.Brokers(), h, full, func(c *Config) {
		c.Memory = account
		if protocol == "transactions" {
			c.Batches, c.TransactionalID = true, "tx-"+h.name
			c.Outputs = &dispatch.Outputs{Prepare: func(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
				return append(to, out), nil
			}}
		}
	})
}

func TestABatchThatIsTooLargeStandsItsPartitionAndNoOther(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols() {
		for name, codec := range codecs {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				t.Parallel()
				k := testkit.Kfake(t)
				k.Topic("t", 2)
				cl := compressor(t, k.Brokers(), codec)
				cl.Produce(to(0, "before"))
				cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: make([]byte, 18<<18)})
				cl.Produce(to(0, "behind"), to(1, "other"))
				h := &handler{name: "a"}
				c := startBy(t, k, protocol, h, map[string]string{"max_buffer": "2MiB", "max_in_flight": "8"}, nil)
				c.waitProblem("reading t/0", "max_buffer")
				h.waitCalls(t, 2)
				cl.Produce(to(1, "later"))
				h.waitCalls(t, 3)
				if got := h.values(); slices.Contains(got, "behind") || slices.ContainsFunc(got, func(v string) bool { return len(v) > 100 }) {
					t.Fatalf("what is behind the batch, or in it, was delivered without it: %.100q", got)
				}
				c.waitProblem("reading t/0") // it has been tried again since
				c.stop()
				// The setting lets it through, and nothing was lost.
				h = &handler{name: "a"}
				c = startBy(t, k, protocol, h, map[string]string{"max_buffer": "16MiB", "max_in_flight": "8"}, nil)
				testkit.Eventually(t, patience, func() error {
					got := h.values()
					if !slices.Contains(got, "behind") || !slices.ContainsFunc(got, func(v string) bool { return len(v) == 18<<18 }) {
						return fmt.Errorf("%d records came, not both the large one and the one behind it", len(got))
					}
					return nil
				})
				c.waitHealthy()
			})
		}
	}
}

func TestAPartitionGoesOnWhenTheBatchIsDeleted(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	cl := compressor(t, k.Brokers(), kgo.ZstdCompression())
	cl.Produce(&kgo.Record{Topic: "t", Partition: 0, Value: make([]byte, 40<<20)})
	cl.Produce(to(0, "behind"))
	h := &handler{name: "a"}
	c := startBy(t, k, "classic", h, map[string]string{"max_buffer": "8MiB"}, nil)
	c.waitProblem("reading t/0")
	cl.DeleteRecords("t", 0, 1)
	if got := h.waitCalls(t, 1); got[0].value != "behind" {
		t.Fatalf("%.100q was delivered", got[0].value)
	}
	c.waitHealthy()
}

// What a stuck link holds is its buffer and what the client fetched, whatever the records are made of. The bounds count
// the copies that the buffer and the client have of the same bytes; all records at once are more than they allow.
func TestWhatAStuckLinkHolds(t *testing.T) {
	text := bytes.Repeat([]byte(`{"id":1,"name":"a","ok":true}`), 1<<20/29)
	headers := make([]kgo.RecordHeader, 100)
	for i := range headers {
		headers[i] = kgo.RecordHeader{Key: "k"}
	}
	for _, attack := range []struct {
		name       string
		partitions int32
		records    int // for each partition
		make       func() *kgo.Record
		buffer     string
		bound      int64
		batch      int32
	}{
		{"zeros", 1, 160, func() *kgo.Record { return &kgo.Record{Value: make([]byte, 1<<20)} }, "32MiB", 80 << 20, 2 << 20},
		{"text", 1, 64, func() *kgo.Record { return &kgo.Record{Value: text} }, "1MiB", 8 << 20, 2 << 20},
		{"small records", 50, 5_000, func() *kgo.Record { return &kgo.Record{Value: []byte("v")} }, "32MiB", 80 << 20, 1 << 20},
		{"headers", 1, 20_000, func() *kgo.Record { return &kgo.Record{Value: []byte("v"), Headers: headers} }, "32MiB", 80 << 20, 1 << 20},
	} {
		for _, codec := range []string{"none", "zstd"} { // test/attacks has the others, with the whole program
			if codec == "none" && (attack.name == "zeros" || attack.name == "text") {
				continue // as many bytes in Kafka, which is in this process
			}
			t.Run(attack.name+"/"+codec, func(t *testing.T) {
				k := testkit.Kfake(t)
				k.Topic("t", attack.partitions)
				opts := []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(attack.batch), kgo.MaxBufferedRecords(20_000)}
				if codec != "none" {
					opts = append(opts, kgo.ProducerBatchCompression(codecs[codec]))
				} else {
					opts = append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
				}
				func() {
					cl := testkit.NewClient(t, k.Brokers(), opts...)
					defer cl.Close()
					for p := range attack.partitions {
						for at := 0; at < attack.records; {
							var batch []*kgo.Record
							for size := 0; at < attack.records && size < 8<<20 && len(batch) < 20_000; at++ {
								r := attack.make()
								r.Topic, r.Partition = "t", p
								size += len(r.Value)
								batch = append(batch, r)
							}
							cl.Produce(batch...)
						}
					}
				}()
				before := liveHeap()
				h := &handler{name: "a", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
					<-ctx.Done()
					return record.Unanswered, ctx.Err()
				}}
				budget := memory.New(256 << 20)
				account := budget.Open("link")
				c := startWith(t, k.Brokers(), h, map[string]string{"topic": "t", "max_buffer": attack.buffer, "order": "none"}, func(c *Config) { c.Memory = account })
				waitQuiet(t, c)
				if held := liveHeap() - before; held > attack.bound {
					t.Errorf("a stuck link with max_buffer=%s holds %d MiB, at most %d are allowed", attack.buffer, held>>20, attack.bound>>20)
				} else {
					t.Logf("held %d MiB; the dispatcher says %d, the account %d", held>>20, c.Status().Dispatch.Buffered>>20, account.Used()>>20)
				}
				c.stop()
				if used := account.Used(); used != 0 {
					t.Errorf("after its end the link holds %d bytes of the budget", used)
				}
			})
		}
	}
}

// waitQuiet waits until nothing more comes.
func waitQuiet(t *testing.T, c *copyOf) {
	t.Helper()
	last, same := int64(-1), 0
	testkit.Eventually(t, 2*patience, func() error {
		n := c.counts.fetched.Load()
		if n != last || n == 0 {
			last, same = n, 0
			return fmt.Errorf("%d records came, and there are more", n)
		}
		if same++; same < 20 {
			return fmt.Errorf("%d records came, and there may be more", n)
		}
		return nil
	})
}

func TestALinkThatFillsTheBudgetDoesNotKeepOthersFromReading(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	k.Topic("calm", 1)
	cl := testkit.NewClient(t, k.Brokers(), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for range 60 {
		cl.Produce(&kgo.Record{Topic: "t", Value: bytes.Repeat([]byte("x"), 1<<19)})
	}
	budget := memory.New(16 << 20)
	stuck := &handler{name: "stuck", do: func(ctx context.Context, _ *record.Record) (record.Kind, error) {
		<-ctx.Done()
		return record.Unanswered, ctx.Err()
	}}
	flood := budget.Open("flood")
	first := startWith(t, k.Brokers(), stuck, map[string]string{"topic": "t", "max_buffer": "64MiB", "consumer_group": "flood"}, func(c *Config) { c.Memory = flood })
	waitQuiet(t, first)
	if used := flood.Used(); used < 1<<20 || used > 14<<20 {
		t.Errorf("the flood holds %d KiB of a budget of 16 MiB", used>>10)
	}
	h := &handler{name: "calm"}
	startWith(t, k.Brokers(), h, map[string]string{"topic": "calm"}, func(c *Config) { c.Memory = budget.Open("calm") })
	for range 40 {
		cl.Produce(&kgo.Record{Topic: "calm", Value: []byte(strings.Repeat("y", 1<<18))})
	}
	h.waitCalls(t, 40)
	// What the flood took while it was alone is beyond its part, since there are two.
	if s := budget.Status(); s.Most > s.Limit*3/2 {
		t.Errorf("%d bytes of a budget of %d were taken", s.Most, s.Limit)
	}
}

// The client makes 25 times as much of an answer about topics, and asks for all of them where a pattern is read.
func TestAnAnswerAboutTooManyTopicsIsNotRead(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("t", 1)
	var large atomic.Bool
	k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if !large.Load() || req.(*kmsg.MetadataRequest).Topics != nil {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		for n := range 40 {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic = new(fmt.Sprint("many", n))
			for p := range int32(10_000) {
				partition := kmsg.NewMetadataResponseTopicPartition()
				partition.Partition, partition.Replicas, partition.ISR = p, []int32{0, 1, 2}, []int32{0, 1, 2}
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	h := &handler{name: "a"}
	c := start(t, k.Brokers(), h, map[string]string{"topic": "/t.*/", "metadata_max_age": "1s"})
	c.waitHealthy()
	large.Store(true)
	c.waitProblem("holds no records", "pattern")
	testkit.NewClient(t, k.Brokers()).ProduceText("t", "meanwhile")
	h.waitCalls(t, 1) // what it reads already is read on
}
