package produce

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// TestMurmur2 has the vectors of the Java client's own test (UtilsTest.testMurmur2).
func TestMurmur2(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%q: got %d, want %d", key, got, want)
		}
	}
}

func TestPartitionersAgreeWithTheClients(t *testing.T) {
	t.Parallel()
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	ours := partitioner{settings.PartitionerMurmur2}.ForTopic("t")
	for _, key := range []string{"", "a", "ab", "abc", "abcd", "abcde", "a longer key with ü"} {
		for _, n := range []int{1, 3, 12, 1000} {
			r := &kgo.Record{Partition: -1, Key: []byte(key)}
			if got, want := ours.Partition(r, n), theirs.Partition(r, n); got != want {
				t.Errorf("key %q of %d partitions: got %d, want %d", key, n, got, want)
			}
			if !ours.RequiresConsistency(r) {
				t.Errorf("key %q may move while a partition is down", key)
			}
		}
	}
}

func TestPartitionerKinds(t *testing.T) {
	t.Parallel()
	for kind, keyed := range map[settings.Partitioner]bool{
		settings.PartitionerMurmur2: true, settings.PartitionerSticky: false, settings.PartitionerRoundRobin: false,
	} {
		p := partitioner{kind}.ForTopic("t")
		key := &kgo.Record{Partition: -1, Key: []byte("k")}
		if got := p.RequiresConsistency(key); got != keyed {
			t.Errorf("%s: a key is bound to its partition: %v", kind, got)
		}
		call := &recordContext{Context: t.Context()}
		given := &kgo.Record{Partition: 2, Key: []byte("k"), Context: call}
		if got := p.Partition(given, 3); got != 2 || !p.RequiresConsistency(given) {
			t.Errorf("%s: a given partition became %d", kind, got)
		}
		if got := p.Partition(given, 2); got != -1 || call.partitions != 2 {
			t.Errorf("%s: a partition out of range became %d, with %d partitions", kind, got, call.partitions)
		}
		_, twice := p.(kgo.TopicPartitionerOnNewBatch)
		if want := kind != settings.PartitionerRoundRobin; twice != want {
			t.Errorf("%s: asks twice for the first record of a batch: %v", kind, twice)
		}
	}
	round := partitioner{settings.PartitionerRoundRobin}.ForTopic("t")
	for i := range 6 {
		if got := round.Partition(&kgo.Record{Partition: -1, Key: []byte("same")}, 3); got != i%3 {
			t.Errorf("turn %d of the round robin is partition %d", i, got)
		}
	}
}
