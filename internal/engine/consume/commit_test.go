package consume

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// A leader without the newest records has taken over, and its own have come as far as the ones that are gone.
func TestAnOffsetIsCommittedAgainInTheEpochOfAnotherLeader(t *testing.T) {
	s := new(session)
	a := &assignment{committed: commit{offset: 7, epoch: 2}}
	for epoch, want := range map[int32]bool{2: false, 3: true} {
		c, goes := s.commitAt(a, dispatch.Position{Offset: 7, Epoch: epoch})
		if goes != want || c.epoch != epoch {
			t.Errorf("of epoch %d: %v, in epoch %d, want %v", epoch, goes, c.epoch, want)
		}
	}
}
