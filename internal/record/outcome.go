package record

import (
	"context"
	"fmt"
	"time"
)

// Receiver takes records and says of each what became of it. It is the seam between the engine, which reads Kafka and
// calls it, and a front-end, which hands records to whoever handles them: neither knows how the other works.
//
// Receive gets records of one partition in the order of their offsets, one at least, and returns an outcome for each,
// in the order of batch. A batch of one is the plain case; links that hand records over one by one make no other. Many
// goroutines call it at once, never with the same record.
//
// ctx ends when the call has had its time (handle_timeout), or when the partition goes away and its calls are given up.
// Receive returns soon after that, with [Unanswered] or [Unavailable] for each record that it has no answer for;
// whoever handles the records may be at work on them still. An answer that came in time counts as it was given.
//
// Records do not change while Receive runs, and their bytes never do. A Receiver may keep them after it
// has returned, but they count in no buffer then: what keeps them has a bound of its own. It neither keeps nor changes
// batch.
//
// The engine reads outcomes and does not change them, so the same slice may be returned again and again. Outputs are
// the engine's until Kafka has them, which can be long after: their memory is not used again.
//
// A Receiver that returns more or fewer outcomes than there are records has answered for none of them. The engine calls
// Receivers in one place, which takes that for [Unanswered] of the whole batch.
type Receiver interface {
	Receive(ctx context.Context, batch []*Record) []Outcome
}

// Outcome says what became of one delivery of a record.
type Outcome struct {
	Kind Kind
	// Err says in words for the operator why Kind is not [Done]. It is set with all other kinds, and with Skipped may be.
	Err error
	// Outputs are the records that were made of the record, to be produced before its offset is committed. There are none
	// unless Kind is [Done]. A link that produces none takes the record for rejected.
	Outputs []Outgoing
	// After is how long the next delivery of the record should wait at least, where whoever handles it has said so; with
	// Unavailable it is how long nobody will take calls. The engine waits no longer than its own bound, and longer than
	// After where its back-off does.
	After time.Duration
	// Uncalled tells that nobody was called: the link's settings decide, so that the outcome says nothing of whoever takes
	// calls. It is so with all that are Skipped, and may be with Reject.
	Uncalled bool
}

// Kind is what became of one delivery of a record.
type Kind uint8

// Only Retry, Reject and Unanswered count as attempts.
const (
	// Retry asks for another delivery later. It is the zero value, so that a forgotten outcome can never lose a record.
	Retry Kind = iota
	// Done says that the record was handled.
	Done
	// Skipped says that the link's settings finish the record without a call. It says nothing of whether somebody takes
	// calls.
	Skipped
	// Reject says that no further delivery can help: the record is to be dead-lettered or skipped.
	Reject
	// Unavailable says that nobody accepted the call, or that the way to whoever did broke: it says nothing of the record,
	// which is held until calls are accepted again. Only a front-end can tell.
	Unavailable
	// Unanswered says that the call was accepted and has ended without an answer: not in time, by a trap, or with one that
	// nobody can read. For a record that was called alone it is a failure like Retry. Nothing is known of the single
	// records of a call with more, and each is called by itself from then on.
	Unanswered

	// Kinds is how many there are.
	Kinds = int(iota)
)

func (k Kind) String() string {
	switch k {
	case Done:
		return "done"
	case Skipped:
		return "skipped"
	case Reject:
		return "reject"
	case Unavailable:
		return "unavailable"
	case Unanswered:
		return "unanswered"
	case Retry:
		return "retry"
	}
	return "unknown"
}

// Label names the kind in metrics and traces, in which a call without an answer counts as one that failed.
func (k Kind) Label() string {
	if k == Unanswered {
		return Retry.String()
	}
	return k.String()
}

// Counted returns outcomes for a batch of n records: those that a [Receiver] has given, or, where it has answered for
// more or fewer, that it has answered for none.
func Counted(outcomes []Outcome, n int) []Outcome {
	if len(outcomes) == n {
		return outcomes
	}
	return Each(n, Outcome{
		Kind: Unanswered, Err: fmt.Errorf("there are %d results for a batch of %d records", len(outcomes), n),
	})
}

// plain are the outcomes that say nothing but their kind, as most do.
var plain = func() (plain [Kinds]Outcome) {
	for i := range plain {
		plain[i].Kind = Kind(i)
	}
	return plain
}()

// Each returns the same outcome for each of n records, which must not be changed.
func Each(n int, o Outcome) []Outcome {
	if n == 1 && o.Err == nil && o.Outputs == nil && o.After == 0 && !o.Uncalled {
		return plain[o.Kind : o.Kind+1 : o.Kind+1]
	}
	outcomes := make([]Outcome, n)
	for i := range outcomes {
		outcomes[i] = o
	}
	return outcomes
}
