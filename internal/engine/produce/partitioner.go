package produce

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// murmur2 is the hash of keys that Kafka's Java client uses, with its seed (org.apache.kafka.common.utils.Utils).
// Two clients agree on the partition of a key only if they agree on each bit of this.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	for i, b := range slices.Backward(data) {
		h ^= uint32(b) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

// keyPartition returns which of n partitions a key belongs to, as Kafka's Java client does.
func keyPartition(key []byte, n int) int {
	return int(murmur2(key)&0x7fffffff) % n
}

// partitioner puts a record into the partition it asks for, if any, and else follows the settings.
type partitioner struct{ kind settings.Partitioner }

// ForTopic implements [kgo.Partitioner].
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if p.kind == settings.PartitionerRoundRobin {
		return &givenPartition{rest: kgo.RoundRobinPartitioner().ForTopic(topic)}
	}
	sticky := kgo.StickyPartitioner().ForTopic(topic)
	return &stickyPartition{
		givenPartition: givenPartition{rest: sticky, hashKeys: p.kind != settings.PartitionerSticky},
		onNewBatch:     sticky.(kgo.TopicPartitionerOnNewBatch).OnNewBatch,
	}
}

// givenPartition honours a partition given in the record. The client calls it for one record of a topic at a time.
type givenPartition struct {
	rest     kgo.TopicPartitioner
	hashKeys bool
}

// RequiresConsistency implements [kgo.TopicPartitioner]: where it is true, the client counts all partitions of the
// topic, and not only those that have a leader at the moment.
func (p *givenPartition) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.hashKeys && r.Key != nil
}

// Partition implements [kgo.TopicPartitioner].
func (p *givenPartition) Partition(r *kgo.Record, n int) int {
	switch {
	case int(r.Partition) >= n:
		// The client fails the record then, with an error of its own that is of no use to a component author.
		if c := contextOf(r.Context); c != nil {
			c.partitions = n
		}
		return -1
	case r.Partition >= 0:
		return int(r.Partition)
	case p.hashKeys && r.Key != nil:
		return keyPartition(r.Key, n)
	default:
		return p.rest.Partition(r, n)
	}
}

// stickyPartition keeps to a partition until its batch is full. It is a type of its own since the client asks twice
// for the first record of a batch where OnNewBatch exists, which would make a round robin skip every other turn.
type stickyPartition struct {
	givenPartition
	onNewBatch func()
}

// OnNewBatch implements [kgo.TopicPartitionerOnNewBatch].
func (p *stickyPartition) OnNewBatch() { p.onNewBatch() }

// recordContext is the context of one record on its way, which is the only place that the client leaves to a
// partitioner.
type recordContext struct {
	context.Context
	partitions int // of the topic, where the partition asked for is not one of them
}

type recordContextKey struct{}

func (c *recordContext) Value(key any) any {
	if key == (recordContextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func contextOf(ctx context.Context) *recordContext {
	c, _ := ctx.Value(recordContextKey{}).(*recordContext)
	return c
}
