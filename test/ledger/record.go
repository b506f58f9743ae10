package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ID names a record: the seq-th one (from 1) of a key. It is the record's value too.
type ID struct{ Key, Seq int }

func (id ID) String() string { return fmt.Sprintf("k%d/%d", id.Key, id.Seq) }

// RecordKey is the key that the record has in Kafka.
func (id ID) RecordKey() []byte { return fmt.Appendf(nil, "k%d", id.Key) }

// Number is another one for each record.
func (id ID) Number() uint64 { return uint64(id.Key)<<32 | uint64(id.Seq) }

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	key, seq, ok := strings.Cut(strings.TrimPrefix(text, "k"), "/")
	k, keyErr := strconv.Atoi(key)
	n, seqErr := strconv.Atoi(seq)
	if !ok || keyErr != nil || seqErr != nil {
		return ID{}, fmt.Errorf("%.40q is no record of ours", text)
	}
	return ID{k, n}, nil
}

// SortedIDs returns the keys of m in the order of keys and their records.
func SortedIDs[V any](m map[ID]V) []ID {
	return slices.SortedFunc(maps.Keys(m), func(a, b ID) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Seq, b.Seq))
	})
}

// Place is where Kafka has stored a record.
type Place struct {
	Partition int32
	Offset    int64
}

// At names a place.
func At(partition int32, offset int64) Place { return Place{partition, offset} }

func (p Place) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// ParsePlace reads what String wrote.
func ParsePlace(text string) (Place, error) {
	partition, offset, _ := strings.Cut(text, "@")
	p, partitionErr := strconv.ParseInt(partition, 10, 32)
	o, offsetErr := strconv.ParseInt(offset, 10, 64)
	if partitionErr != nil || offsetErr != nil {
		return Place{}, fmt.Errorf("%.40q is no place", text)
	}
	return Place{int32(p), o}, nil
}
