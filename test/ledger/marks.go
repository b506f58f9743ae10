package ledger

import (
	"math/bits"
	"slices"
	"sync"
)

// Marks remembers which records of a topic, by their numbers from 0 on, have come: a bit for each, since a run may have
// millions.
type Marks struct {
	mu    sync.Mutex
	bits  []uint64
	n     int // different ones
	again int
}

// Set notes that a record has come.
func (m *Marks) Set(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i/64 >= len(m.bits) {
		m.bits = append(m.bits, 0)
	}
	if bit := uint64(1) << (i % 64); m.bits[i/64]&bit == 0 {
		m.bits[i/64] |= bit
		m.n++
	} else {
		m.again++
	}
}

// Compare counts the records that have come to m or to o, and those that have come to both.
func (m *Marks) Compare(o *Marks) (either, both int) {
	mine, theirs := m.copy(), o.copy()
	longest := max(len(mine), len(theirs))
	mine, theirs = append(mine, make([]uint64, longest-len(mine))...), append(theirs,
		make([]uint64, longest-len(theirs))...)
	for i := range longest {
		either += bits.OnesCount64(mine[i] | theirs[i])
		both += bits.OnesCount64(mine[i] & theirs[i])
	}
	return either, both
}

func (m *Marks) copy() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.bits)
}

// Counts tells how many different records have come, and how often one came again.
func (m *Marks) Counts() (n, again int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n, m.again
}
