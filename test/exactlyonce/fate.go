package exactlyonce

import (
	"math/rand/v2"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Fate is what a record deserves: so many outputs, or a dead letter.
type Fate struct {
	Outputs int
	// Reject is said of it at once, Fail each time.
	Reject, Fail bool
}

// dead tells whether the record must be dead-lettered.
func (f Fate) dead() bool { return f.Reject || f.Fail }

// FateOf draws a record's fate by seed.
func FateOf(seed uint64, id ledger.ID) Fate {
	r := rand.New(rand.NewPCG(seed, id.Number()))
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
