package chaos

import (
	"fmt"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Answer is how the component ended a call.
type Answer uint8

const (
	// Silent is a call that the component never answered: it hangs, or went away with the component.
	Silent Answer = iota
	// Done is a call that returned ok.
	Done
	// Failed is one that returned an error.
	Failed
	// Rejected is one whose error begins with reject.
	Rejected
	// Trapped is one that ended in a trap.
	Trapped
)

func (a Answer) String() string {
	return [...]string{"silent", "done", "failed", "rejected", "trapped"}[a]
}

// Life is one process of a copy of the provider, from start to end.
type Life struct{ Copy, Nth int }

func (l Life) String() string { return fmt.Sprintf("copy %d life %d", l.Copy, l.Nth) }

// Call is one call of the component, as the component saw it.
type Call struct {
	ID   ledger.ID
	Life Life // whose connection it came from
	// Begin and End are when the component took the call and when it was through with it, answered or not. End comes
	// before the answer is sent.
	Begin, End time.Time
	Answer     Answer
}

// DeadLetter is a record of the dead-letter topic.
type DeadLetter struct {
	ID ledger.ID
	// At is when the broker stored it, cut to milliseconds.
	At       time.Time
	Attempts int
	Error    string
}

// Span is a time without an end where To is zero.
type Span struct{ From, To time.Time }

func (s Span) holds(t time.Time) bool { return !t.Before(s.From) && (s.To.IsZero() || t.Before(s.To)) }

// History is what became of one life of a copy.
type History struct {
	// Gone is when the process was killed or had ended; zero where it never did.
	Gone time.Time
	// Offline are the times between two connections of the life to the lattice. What was called before is lost to
	// the caller, which has no way to learn of the answer.
	Offline []Span
	// Assigned are the times at which the group gave the life a partition, by partition, ascending.
	Assigned map[int32][]time.Time
	// TimedOut are the calls of the record at a place that the life says it waited for in vain until handle_timeout: from
	// when it sent each to when it gave it up.
	TimedOut map[ledger.Place][]Span
	// GivenUp are the times at which the life said that it had given up the call of the record at a place because
	// the partition went, or the life ended.
	GivenUp map[ledger.Place][]time.Time
}

// Ledger is everything that was seen in a run.
type Ledger struct {
	// HandleTimeout and MaxAttempts are those of the link, MaxInFlight the largest that it had.
	HandleTimeout time.Duration
	MaxAttempts   int
	MaxInFlight   int

	Produced map[ledger.ID]ledger.Place // what Kafka has acknowledged
	Calls    []Call                     // in the order of Begin
	Dead     []DeadLetter
	Lives    map[Life]*History
	// Strangers are calls and dead letters that belong to no record that was produced, or to no known life.
	Strangers []string
	// Restarts of the component are the times at which it was scaled to 0.
	Restarts []time.Time

	// End and Committed are offsets by partition once everything had run dry.
	End, Committed map[int32]int64

	// What the end left behind.
	MembersLeft    int
	ProcessesLeft  []string
	GoroutinesLeft []string
	BadStops       []string
}

// Cause says why a call is not waited for any more though the component may still be at work on it.
type Cause string

// The causes.
const (
	CauseProcess Cause = "process gone"
	CauseLattice Cause = "lattice cut"
	CauseTimeout Cause = "handle_timeout"
	CauseGivenUp Cause = "given up by a stop or hand-over"
)

// Causes lists every Cause.
var Causes = []Cause{CauseProcess, CauseLattice, CauseTimeout, CauseGivenUp}

// gone returns when the caller of c stopped to wait for it, whatever the component did, and why. It is the earliest of
//   - the end of the caller's process;
//   - the end of the connection by which the call came, as the NATS server saw it: the connection was there when the
//     call began, or the call was sent in its last moment and begun while the caller was offline;
//   - the moment at which the caller's log said that handle_timeout was over, which the caller counts from when it sent
//     the call. What the log says is believed only where it waited that long;
//   - the moment at which the caller's log said that it had given the call up.
//
// ok is false where nothing of that happened.
func (l *Ledger) gone(c *Call) (at time.Time, cause Cause, ok bool) {
	earliest := func(t time.Time, why Cause) {
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, cause, ok = t, why, true
		}
	}
	h := l.Lives[c.Life]
	if h == nil {
		return at, cause, ok
	}
	for _, wait := range h.TimedOut[l.Produced[c.ID]] {
		// As with what was given up below: what the log says of a later call never comes first.
		if wait.To.After(c.Begin) && wait.To.Sub(wait.From) >= l.HandleTimeout {
			earliest(wait.To, CauseTimeout)
		}
	}
	earliest(h.Gone, CauseProcess)
	for _, off := range h.Offline {
		if off.holds(c.Begin) || off.From.After(c.Begin) {
			earliest(off.From, CauseLattice)
		}
	}
	for _, t := range h.GivenUp[l.Produced[c.ID]] {
		// The log of a call that began later in the same life is not about this one, but comes later than this one's
		// own end too: it never is the earliest.
		if t.After(c.Begin) {
			earliest(t, CauseGivenUp)
		}
	}
	return at, cause, ok
}

// inside returns until when a copy was inside the call's record: until the component ended the call, or until the
// copy was gone from it. cause is empty where the component ended it first.
func (l *Ledger) inside(c *Call) (until time.Time, cause Cause) {
	at, why, ok := l.gone(c)
	if ok && (c.End.IsZero() || at.Before(c.End)) {
		return at, why
	}
	return c.End, ""
}

// heard tells whether the caller can have heard the component's answer.
func (l *Ledger) heard(c *Call) bool {
	_, cause := l.inside(c)
	return cause == "" && c.Answer != Silent
}

// verdicts returns when each record was first finished: when a call of it was answered ok to a caller that was still
// there, or when a dead letter of it was stored. The true moment is never earlier.
func (l *Ledger) verdicts() map[ledger.ID]time.Time {
	first := make(map[ledger.ID]time.Time, len(l.Produced))
	note := func(id ledger.ID, t time.Time) {
		if had, ok := first[id]; !ok || t.Before(had) {
			first[id] = t
		}
	}
	for i := range l.Calls {
		if c := &l.Calls[i]; c.Answer == Done && l.heard(c) {
			note(c.ID, c.End)
		}
	}
	for _, d := range l.Dead {
		note(d.ID, d.At)
	}
	return first
}

// tenure names one ownership of a partition by one life: the nth time that the group gave it to the life; 0 is none.
type tenure struct {
	life      Life
	partition int32
	nth       int
}

// tenure returns the ownership that a call was made in: that of the life's last assignment of the partition before
// the call began. A copy that goes on with a partition through a rebalance is not given it again, and keeps its
// tenure; one that gave it away and got it back, or whose link was replaced, begins a new one.
func (l *Ledger) tenure(c *Call) tenure {
	p := l.Produced[c.ID].Partition
	t := tenure{life: c.Life, partition: p}
	if h := l.Lives[c.Life]; h != nil {
		for _, at := range h.Assigned[p] {
			if at.After(c.Begin) {
				break
			}
			t.nth++
		}
	}
	return t
}

// byRecord returns the calls of each record in the order in which they began.
func (l *Ledger) byRecord() map[ledger.ID][]*Call {
	calls := make(map[ledger.ID][]*Call, len(l.Produced))
	for i := range l.Calls {
		calls[l.Calls[i].ID] = append(calls[l.Calls[i].ID], &l.Calls[i])
	}
	return calls
}
