package dispatch

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Decision is what is to happen with a record after a delivery.
type Decision uint8

const (
	// Finish says that the record needs no further delivery.
	Finish Decision = iota
	// GiveUp says that no further delivery can help. The record is dead-lettered or skipped, or its partition stands
	// still.
	GiveUp
	// Retry says that it is delivered again after a back-off.
	Retry
	// RetryAlone says that it is delivered again, in a call of its own.
	RetryAlone
	// Wait says that it is held until somebody takes calls.
	Wait
	// Leave says that it is left to whoever reads the partition next.
	Leave

	// The following are the dispatcher's own, of records that Judge has had finished or given up.

	// holdPartition: the partition stands still at the record (on_reject=stop).
	holdPartition
	// unproduced: its outputs could not be produced, so that it is delivered again after a back-off.
	unproduced
	// behind: it is delivered again after the record before it in its lane.
	behind
)

// Circumstances are what a decision depends on besides the kind of the outcome.
type Circumstances struct {
	// Attempt is the number of the delivery among those that count, from 1; Limit is max_attempts, 0 for none.
	Attempt, Limit int
	// Many tells that the call had several records.
	Many bool
	// Stopping tells that no call begins any more, GivenUp that those under way were ended.
	Stopping, GivenUp bool
}

// Judge decides what follows from a delivery. It is the one place that does.
func Judge(kind record.Kind, c Circumstances) Decision {
	switch {
	case kind == record.Done || kind == record.Skipped:
		return Finish
	case c.GivenUp:
		// A stop or a revoke ended the call, not the component: it counts for nothing, least of all for a dead letter.
		return Leave
	case kind == record.Reject:
		return GiveUp
	case c.Stopping:
		// A component that fails while its link or the provider is being stopped may fail because of that, and no stop may
		// cost a record. The next owner sees whether it fails by itself.
		return Leave
	case kind == record.Unavailable:
		return Wait
	case kind == record.Unanswered && c.Many:
		// One record that makes the component trap must not use up the attempts of the others: from now on each of them is
		// called alone, until it has shown what it is.
		return RetryAlone
	case c.Limit > 0 && c.Attempt >= c.Limit:
		return GiveUp
	default:
		return Retry
	}
}

// Counts tells whether the delivery was an attempt.
func (d Decision) Counts() bool { return d == GiveUp || d == Retry }

// Bounded is [record.Outcome.After] as far as it is waited for.
func Bounded(after time.Duration) time.Duration { return min(after, maxAfter) }

// maxAfter is the longest that [record.Outcome.After] has a record wait.
const maxAfter = 5 * time.Minute

// Backoff is the wait after so many failures in a row, and no shorter than after, within bounds.
func Backoff(d *settings.Delivery, failures int, after time.Duration) time.Duration {
	wait := backoff.Backoff{First: d.RetryBackoff, Most: d.RetryBackoffMax}
	return max(wait.Spread(failures), Bounded(after))
}
