package rig

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// IDLen is the length of the number at the start of each value, by which an echo is known.
const IDLen = 16

// Values returns the value for an id: its number and filler up to size, in memory of its own.
func Values(size int) func(id uint64) []byte {
	filler := make([]byte, size-IDLen)
	for i := range filler {
		filler[i] = byte('a' + i*7%26)
	}
	return func(id uint64) []byte {
		return append(fmt.Appendf(make([]byte, 0, size), "%0*d", IDLen, id), filler...)
	}
}

// Largest is the largest record that the clients of the benchmarks send.
const Largest = 2 << 20

// ClientOptions are those of a plain client of Kafka that holds nothing back and compresses nothing, as a Java client
// in its default setting does.
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(Largest),
		kgo.FetchMaxWait(500 * time.Millisecond),
		// As much as a Java client (buffer.memory) and the provider hold.
		kgo.MaxBufferedBytes(64 << 20),
	}
}

// KafkaEcho is a plain client of Kafka that waits for what it has produced to come back.
type KafkaEcho struct {
	cl *kgo.Client

	mu       sync.Mutex
	waiting  map[uint64]chan time.Time // by id; takes the time of the echo
	repeated int                       // echoes that nobody waits for (any more)
	failed   error                     // what kept the client from reading
}

// StartKafkaEcho reads the topics of replies from their beginning until the test ends.
func StartKafkaEcho(t testing.TB, brokers []string, replies ...string) *KafkaEcho {
	t.Helper()
	k := &KafkaEcho{waiting: map[uint64]chan time.Time{}}
	k.cl = testkit.NewClient(t, brokers, append(ClientOptions(),
		kgo.ConsumeTopics(replies...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...,
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

func (k *KafkaEcho) read(ctx context.Context) {
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
			id, err := strconv.ParseUint(string(r.Value[:min(IDLen, len(r.Value))]), 10, 64)
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

// Send produces a value that begins with id and waits until its echo has been read. It returns how long that took.
func (k *KafkaEcho) Send(ctx context.Context, topic string, id uint64, value []byte) (time.Duration, error) {
	return k.SendKeyed(ctx, topic, nil, id, value)
}

// SendKeyed is [KafkaEcho.Send] with a key.
func (k *KafkaEcho) SendKeyed(ctx context.Context, topic string, key []byte, id uint64,
	value []byte) (time.Duration, error) {
	echo := make(chan time.Time, 1)
	k.mu.Lock()
	k.waiting[id] = echo
	k.mu.Unlock()
	produced := make(chan error, 1)
	begin := time.Now()
	k.cl.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: value}, func(_ *kgo.Record, err error) {
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

// TakeRepeated returns the number of repeated echoes since the last call.
func (k *KafkaEcho) TakeRepeated() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.repeated
	k.repeated = 0
	return n
}
