package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestLinksToOneClusterShareAProducer(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	pool := NewPool(quiet())
	var handles []*Publisher
	for range 10 {
		handles = append(handles, acquire(t, pool, cluster.settings(), producerSettings()))
	}
	first := handles[0].client()
	for _, handle := range handles {
		if handle.client() != first {
			t.Fatal("two links with the same settings have different producers")
		}
	}
	other := producerSettings()
	other.Acks, other.Idempotent = settings.AcksLeader, false
	apart := acquire(t, pool, cluster.settings(), other)
	if apart.client() == first {
		t.Error("links with different acks share a producer")
	}
	for i, handle := range handles {
		if _, err := produceAll(t.Context(), handle, outgoing("t", "v")); err != nil {
			t.Errorf("handle %d: %v", i, err)
		}
		if err := handle.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := handle.Release(t.Context()); err != nil {
			t.Errorf("the second release: %v", err)
		}
		_, err := produceAll(t.Context(), handle, outgoing("t", "v"))
		wantError(t, err, ClassUnavailable, "shut down")
	}
	if n := len(pool.clients); n != 1 {
		t.Errorf("%d producers are left, want the one still in use", n)
	}
	again := acquire(t, pool, cluster.settings(), producerSettings())
	if _, err := produceAll(t.Context(), again, outgoing("t", "v")); err != nil {
		t.Errorf("after all were released: %v", err)
	}
	if got := len(cluster.records("t", 0)); got != 11 {
		t.Errorf("%d records are stored, want 11", got)
	}
}

func TestReleaseWaitsForRecordsOnTheirWay(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	pool := NewPool(quiet())
	arrived, goOn := make(chan struct{}), make(chan struct{})
	cluster.answer(kmsg.Produce, func(kmsg.Request) (kmsg.Response, error, bool) {
		close(arrived)
		cluster.SleepControl(func() { <-goOn })
		cluster.DropControl()
		return nil, nil, false
	})
	handle := acquire(t, pool, cluster.settings(), producerSettings())
	published := make(chan error, 1)
	go func() {
		_, err := produceAll(context.Background(), handle, outgoing("t", "v"))
		published <- err
	}()
	<-arrived
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	released := make(chan error, 1)
	go func() { released <- handle.Release(context.Background()) }()
	close(goOn)
	if err := <-released; err != nil {
		t.Error(err)
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	// A release that may not wait says so where records are left, and here none are.
	second := acquire(t, pool, cluster.settings(), producerSettings())
	if err := second.Release(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProduceReturnsWhereTheRecordsAre(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(3, "t"))
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	stamp := time.UnixMilli(1_600_000_000_123)
	positions, err := produceAll(t.Context(), handle,
		record.Outgoing{Topic: "t", Partition: 2, Key: []byte("k"), Value: []byte("first"), Timestamp: stamp,
			Headers: []record.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}}},
		record.Outgoing{Topic: "t", Partition: 2, Key: []byte{}, Value: nil},
		record.Outgoing{Topic: "t", Partition: 0, Value: []byte("other")})
	if err != nil {
		t.Fatal(err)
	}
	want := []record.Position{{Topic: "t", Partition: 2, Offset: 0}, {Topic: "t", Partition: 2, Offset: 1}, {Topic: "t", Partition: 0, Offset: 0}}
	for i := range want {
		if positions[i] != want[i] {
			t.Errorf("record %d is at %+v, want %+v", i, positions[i], want[i])
		}
	}
	stored := cluster.records("t", 2)
	if r := stored[0]; string(r.Key) != "k" || string(r.Value) != "first" || !r.Timestamp.Equal(stamp) ||
		len(r.Headers) != 2 || string(r.Headers[0].Value) != "1" || r.Headers[1].Value != nil {
		t.Errorf("the first record was stored as %+v", r)
	}
	if r := stored[1]; r.Key == nil || r.Value != nil {
		t.Errorf("an empty key and a null value were stored as %v and %v", r.Key, r.Value)
	}
}

func TestAcknowledgementsAndCompressions(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	pool := NewPool(quiet())
	stored := 0
	for _, acks := range []settings.Acks{settings.AcksAll, settings.AcksLeader, settings.AcksNone} {
		for _, compression := range []settings.Compression{
			settings.CompressionNone, settings.CompressionGzip, settings.CompressionSnappy, settings.CompressionLZ4, settings.CompressionZstd,
		} {
			producer := producerSettings()
			producer.Acks, producer.Idempotent, producer.Compression = acks, acks == settings.AcksAll, compression
			handle := acquire(t, pool, cluster.settings(), producer)
			positions, err := produceAll(t.Context(), handle, outgoing("t", strings.Repeat("text ", 1000)))
			if err != nil {
				t.Fatalf("acks %s, compression %s: %v", acks, compression, err)
			}
			stored++
			if acks == settings.AcksNone {
				if positions[0].Offset != -1 {
					t.Errorf("without acknowledgement the offset is said to be %d", positions[0].Offset)
				}
			} else if got := positions[0].Offset; got < int64(stored-1-5) || got >= int64(stored) {
				t.Errorf("acks %s, compression %s: offset %d for record %d", acks, compression, got, stored)
			}
		}
	}
	for name, spoil := range map[string]func(*settings.ProducerClient){
		"acks":                  func(p *settings.ProducerClient) { p.Acks = "2" },
		"compression":           func(p *settings.ProducerClient) { p.Compression = "brotli" },
		"idempotent needs acks": func(p *settings.ProducerClient) { p.Acks = settings.AcksLeader },
	} {
		producer := producerSettings()
		spoil(&producer)
		if _, err := pool.Acquire(cluster.settings(), producer); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestManyPublishersAtOnce checks that nothing is lost, doubled or mixed up.
func TestManyPublishersAtOnce(t *testing.T) {
	t.Parallel()
	const publishers, each = 64, 50
	cluster := startKafka(t, kfake.SeedTopics(4, "t"))
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	var all sync.WaitGroup
	places := make([][]record.Position, publishers)
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				out := record.Outgoing{Topic: "t", Partition: record.AnyPartition, Key: fmt.Appendf(nil, "key-%d", p), Value: fmt.Appendf(nil, "%d/%d", p, i)}
				positions, err := produceAll(context.Background(), handle, out)
				if err != nil {
					t.Errorf("publisher %d: %v", p, err)
					return
				}
				places[p] = append(places[p], positions[0])
			}
		})
	}
	all.Wait()
	stored := map[record.Position]string{}
	for partition := range int32(4) {
		for _, r := range cluster.records("t", partition) {
			stored[record.Position{Topic: "t", Partition: partition, Offset: r.Offset}] = string(r.Value)
		}
	}
	if len(stored) != publishers*each {
		t.Errorf("%d records are stored, want %d", len(stored), publishers*each)
	}
	for p := range places {
		for i, at := range places[p] {
			if want := fmt.Sprintf("%d/%d", p, i); stored[at] != want {
				t.Fatalf("at %+v is %q, want %q", at, stored[at], want)
			}
		}
	}
}

func TestContextEndLeavesOtherPublishersAlone(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	arrived, goOn := make(chan struct{}, 10), make(chan struct{})
	cluster.answer(kmsg.Produce, func(kmsg.Request) (kmsg.Response, error, bool) {
		arrived <- struct{}{}
		cluster.SleepControl(func() { <-goOn })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	impatient, patient := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := produceAll(ctx, handle, outgoing("t", "impatient"))
		impatient <- err
	}()
	<-arrived
	go func() {
		_, err := produceAll(context.Background(), handle, outgoing("t", "patient"))
		patient <- err
	}()
	cancel()
	err := <-impatient
	wantError(t, err, ClassTimedOut, "not known", "t:")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
	close(goOn)
	if err := <-patient; err != nil {
		t.Errorf("a publisher whose neighbour gave up failed: %v", err)
	}
	// What was sent before the end was stored indeed, and once: the producer's sequence survived.
	values := map[string]int{}
	for _, r := range cluster.records("t", 0) {
		values[string(r.Value)]++
	}
	if values["impatient"] != 1 || values["patient"] != 1 {
		t.Errorf("stored: %v", values)
	}
}

func TestBufferIsBounded(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	producer := producerSettings()
	producer.MaxMessageBytes = 100 << 20
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producer)
	if got, want := handle.client().bufferSize(), int64(100<<20+recordCost); got != want {
		t.Errorf("the buffer has %d bytes, want room for one largest record, %d", got, want)
	}
	goOn := make(chan struct{})
	defer close(goOn)
	cluster.answer(kmsg.Produce, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.SleepControl(func() { <-goOn })
		return nil, nil, false
	})
	if !handle.client().buffer.TryAcquire(handle.client().bufferSize()) {
		t.Fatal("the buffer is not empty")
	}
	defer handle.client().buffer.Release(handle.client().bufferSize())
	if err := handle.client().identify(handle.client().wait(t.Context()), "t"); err != nil { // which comes before the wait for room
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := produceAll(ctx, handle, outgoing("t", "v"))
	wantError(t, err, ClassTimedOut, "too many records wait")
}

func TestRecordsTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	cluster := startKafka(t, kfake.SeedTopics(1, "t"))
	if err := cluster.CreateTopic("small", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	producer := producerSettings()
	producer.MaxMessageBytes = limit
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producer)
	exact := record.Outgoing{Topic: "t", Partition: record.AnyPartition, Key: []byte("key"), Value: bytes.Repeat([]byte("v"), limit-3-20)}
	for range 10 {
		exact.Headers = append(exact.Headers, record.Header{}) // two bytes each
	}
	if _, err := produceAll(t.Context(), handle, exact); err != nil {
		t.Errorf("a record of exactly max_message_bytes: %v", err)
	}
	exact.Value = append(exact.Value, 'v')
	_, err := produceAll(t.Context(), handle, exact)
	wantError(t, err, ClassTooLarge, "10001 bytes", "max_message_bytes is 10000")

	_, err = produceAll(t.Context(), handle, outgoing("small", strings.Repeat("v", 3000)))
	wantError(t, err, ClassTooLarge, "3000 bytes", "max.message.bytes of 2000")
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("the cause is lost: %v", err)
	}

	// Without the right to ask for the topic's limit, the text names what it can.
	cluster.answer(kmsg.DescribeConfigs, func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		resource := kmsg.NewDescribeConfigsResponseResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "small"
		resource.ErrorCode = kerr.TopicAuthorizationFailed.Code
		resp.Resources = append(resp.Resources, resource)
		return resp, nil, true
	})
	_, err = produceAll(t.Context(), handle, outgoing("small", strings.Repeat("v", 3000)))
	wantError(t, err, ClassTooLarge, "3000 bytes", "max_message_bytes (10000)", "max.message.bytes")
}

// TestRecordsAtTheBrokersDefault has the default settings on both sides, which differ by twelve bytes.
func TestRecordsAtTheBrokersDefault(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	for topic, limit := range map[string]string{"default": "1048588", "raised": "2000000"} {
		if err := cluster.CreateTopic(topic, 1, map[string]string{"max.message.bytes": limit}); err != nil {
			t.Fatal(err)
		}
	}
	producer := producerSettings()
	producer.MaxMessageBytes = 1 << 20
	if got := batchBytes(producer); got != brokerDefault {
		t.Errorf("batches are filled to %d bytes, beyond what brokers take", got)
	}
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producer)
	value := strings.Repeat("v", 1<<20)
	if _, err := produceAll(t.Context(), handle, outgoing("raised", value)); err != nil {
		t.Errorf("a record of exactly max_message_bytes, to a topic that takes it: %v", err)
	}
	_, err := produceAll(t.Context(), handle, outgoing("default", value))
	wantError(t, err, ClassTooLarge, "1048576 bytes", "max.message.bytes of 1048588")
	if _, err := produceAll(t.Context(), handle, outgoing("default", value[frameOverhead:])); err != nil {
		t.Errorf("a record that is small enough: %v", err)
	}
	producer.MaxMessageBytes = 5 << 20
	if got, want := batchBytes(producer), int32(5<<20+frameOverhead); got != want {
		t.Errorf("batches are filled to %d bytes, want %d", got, want)
	}
}

// TestSmallRecordsDoNotFailWithTheirBatch publishes many records to a topic that takes less at once than batches
// are filled with.
func TestSmallRecordsDoNotFailWithTheirBatch(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	if err := cluster.CreateTopic("small", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	handle := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	// The first request waits, so that all others gather into one batch.
	var requests atomic.Int32
	arrived, goOn := make(chan struct{}), make(chan struct{})
	cluster.answer(kmsg.Produce, func(kmsg.Request) (kmsg.Response, error, bool) {
		if requests.Add(1) == 1 {
			close(arrived)
			cluster.SleepControl(func() { <-goOn })
		}
		return nil, nil, false
	})
	first := make(chan error, 1)
	go func() {
		_, err := produceAll(context.Background(), handle, outgoing("small", strings.Repeat("v", 1000)))
		first <- err
	}()
	<-arrived
	rest := make(chan error, 1)
	go func() {
		var records []record.Outgoing
		for range 20 {
			records = append(records, outgoing("small", strings.Repeat("v", 1000)))
		}
		_, err := produceAll(context.Background(), handle, records...)
		rest <- err
	}()
	close(goOn)
	if err := errors.Join(<-first, <-rest); err != nil {
		t.Error(err)
	}
	if n := len(cluster.records("small", 0)); n != 21 {
		t.Errorf("%d records are stored, want 21", n)
	}
}

func TestAReleaseThatMayWaitNoLongerEndsThePublishes(t *testing.T) {
	t.Parallel()
	cluster, proxy := startProxiedKafka(t, kfake.SeedTopics(1, "t"))
	publisher := acquire(t, NewPool(quiet()), cluster.settings(), producerSettings())
	if _, err := publish(t.Context(), publisher, outgoing("t", "before")); err != nil {
		t.Fatal(err)
	}
	proxy.Pause()
	defer proxy.Resume()
	c := publisher.client()
	before := c.written.Load()
	published := make(chan error, 1)
	go func() {
		_, err := publish(context.Background(), publisher, outgoing("t", "v"))
		published <- err
	}()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if c.written.Load() == before {
			return errors.New("the record is not on its way")
		}
		return nil
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := publisher.Release(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the release says %v of a record on its way", err)
	}
	wantError(t, <-published, ClassTimedOut, "shut down", "not known")
}
