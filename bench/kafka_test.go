//go:build bench

package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"messaging-kafka/internal/testkit"
)

// idLen is the length of the number at the start of each value, by which an echo is known.
const idLen = 16

// values returns the value for an id: its number and filler up to size, in memory of its own.
func values(size int) func(id uint64) []byte {
	filler := make([]byte, size-idLen)
	for i := range filler {
		filler[i] = byte('a' + i*7%26)
	}
	return func(id uint64) []byte {
		return append(fmt.Appendf(make([]byte, 0, size), "%0*d", idLen, id), filler...)
	}
}

// kafkaWay is the way from topic to topic, as a plain client of Kafka sees it.
type kafkaWay struct {
	cl    *kgo.Client
	topic string
	value func(id uint64) []byte

	mu       sync.Mutex
	waiting  map[uint64]chan time.Time // by id; takes the time of the echo
	repeated int                       // echoes that nobody waits for (any more)
	failed   error                     // what kept the client from reading
}

// startKafkaWay produces to one topic and reads the other one, which may be the same, from its beginning until the test
// ends.
func startKafkaWay(t *testing.T, brokers []string, topic, replies string, value func(uint64) []byte) *kafkaWay {
	t.Helper()
	k := &kafkaWay{topic: topic, value: value, waiting: map[uint64]chan time.Time{}}
	// Nothing is held back and nothing compressed, as with a Java client in its default setting.
	k.cl = testkit.NewClient(t, brokers,
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ConsumeTopics(replies), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	).Client
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() { k.read(ctx) })
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		if k.failed != nil {
			t.Errorf("reading the echoes: %v", k.failed)
		}
	})
	return k
}

func (k *kafkaWay) read(ctx context.Context) {
	for {
		fetches := k.cl.PollFetches(ctx)
		now := time.Now()
		if ctx.Err() != nil {
			return
		}
		k.mu.Lock()
		if err := fetches.Err(); err != nil {
			k.failed = err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			id, err := strconv.ParseUint(string(r.Value[:min(idLen, len(r.Value))]), 10, 64)
			if err != nil {
				k.failed = fmt.Errorf("%s/%d holds at %d what nobody sent: %w", r.Topic, r.Partition, r.Offset, err)
				return
			}
			if echo := k.waiting[id]; echo != nil {
				echo <- now // has room for it
				delete(k.waiting, id)
			} else {
				k.repeated++
			}
		})
		k.mu.Unlock()
	}
}

// echo is an [Echo]: from the produce of a record until its echo has been read.
func (k *kafkaWay) echo(ctx context.Context, id uint64) (time.Duration, error) {
	echo := make(chan time.Time, 1)
	k.mu.Lock()
	k.waiting[id] = echo
	k.mu.Unlock()
	produced := make(chan error, 1)
	begin := time.Now()
	k.cl.Produce(ctx, &kgo.Record{Topic: k.topic, Value: k.value(id)}, func(_ *kgo.Record, err error) {
		if err != nil {
			produced <- err
		}
	})
	var err error
	select {
	case came := <-echo:
		return came.Sub(begin), nil
	case err = <-produced:
		err = fmt.Errorf("producing: %w", err)
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the echo: %w", ctx.Err())
	}
	k.mu.Lock()
	delete(k.waiting, id)
	k.mu.Unlock()
	return 0, err
}

// takeRepeated returns the number of repeated echoes since the last call.
func (k *kafkaWay) takeRepeated() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.repeated
	k.repeated = 0
	return n
}
