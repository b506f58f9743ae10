package exactlyonce

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// ID names a record: the seq-th one (from 1) of a key. It is the record's value too.
type ID struct{ Key, Seq int }

func (id ID) String() string { return fmt.Sprintf("k%d/%d", id.Key, id.Seq) }

func (id ID) key() []byte { return fmt.Appendf(nil, "k%d", id.Key) }

var errStranger = errors.New("no record of ours")

// parseID reads what String wrote.
func parseID(text string) (ID, error) {
	key, seq, _ := strings.Cut(text, "/")
	k, keyErr := strconv.Atoi(strings.TrimPrefix(key, "k"))
	n, seqErr := strconv.Atoi(seq)
	if keyErr != nil || seqErr != nil {
		return ID{}, fmt.Errorf("%.40q: %w", text, errStranger)
	}
	return ID{k, n}, nil
}

// Fate is what a record deserves: so many outputs, or a dead letter.
type Fate struct {
	Outputs int
	// Reject is said of it at once, Fail each time.
	Reject, Fail bool
}

// dead tells whether the record must be dead-lettered.
func (f Fate) dead() bool { return f.Reject || f.Fail }

// fateOf draws a record's fate by seed.
func fateOf(seed uint64, id ID) Fate {
	r := rand.New(rand.NewPCG(seed, uint64(id.Key)<<32|uint64(id.Seq)))
	switch luck := r.Float64(); {
	case luck < 0.003:
		return Fate{Reject: true}
	case luck < 0.004:
		return Fate{Fail: true}
	case luck < 0.05:
		return Fate{} // filtered out
	case luck < 0.10:
		return Fate{Outputs: 3}
	default:
		return Fate{Outputs: 1}
	}
}

// Place is where Kafka has stored a record.
type Place struct {
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// parsePlace reads what String wrote.
func parsePlace(text string) (Place, error) {
	partition, offset, _ := strings.Cut(text, "@")
	p, err := strconv.ParseInt(partition, 10, 32)
	if err != nil {
		return Place{}, fmt.Errorf("a place like %.40q: %w", text, errStranger)
	}
	o, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		return Place{}, fmt.Errorf("a place like %.40q: %w", text, errStranger)
	}
	return Place{int32(p), o}, nil
}
