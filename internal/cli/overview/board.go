package overview

import (
	"context"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Board shows the last answer, all of its providers as one. It is the source of a page.
type Board struct {
	now atomic.Pointer[status.Provider]
}

// NewBoard returns a board that shows an answer.
func NewBoard(a *Answer) *Board {
	b := new(Board)
	b.Show(a)
	return b
}

// Show has the board show another answer.
func (b *Board) Show(a *Answer) {
	p := status.Merge(a.Time, a.Providers, a.Silent)
	b.now.Store(&p)
}

// Status implements admin.Source.
func (b *Board) Status(context.Context) status.Provider { return *b.now.Load() }
