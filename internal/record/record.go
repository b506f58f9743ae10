// Package record holds the types that the two sides of the provider share: a Kafka record on its way to a
// component, a record that a component wants produced, and the verdict on a delivery. It knows neither Kafka's
// client nor NATS, which is what lets the delivery engine be tested without either.
package record

import (
	"context"
	"errors"
	"time"
)

// Header is one record header. Kafka allows a key to repeat and keeps the order, so headers are a list. A nil
// Value is Kafka's null, which differs from an empty value.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record read from Kafka. A nil Key or Value is Kafka's null (a null value is a tombstone).
//
// A Record and the slices in it are shared by everything that handles it and must not be changed.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// LeaderEpoch is the epoch of the partition leader that appended the record, -1 where the broker does not tell
	// (KIP-320).
	LeaderEpoch int32
	Timestamp   time.Time
	Key, Value  []byte
	Headers     []Header
	// Attempt counts the deliveries of this record, this one included: 1 is the first. It goes on counting where a
	// record comes back from a dead-letter topic.
	Attempt int
}

// Size is the number of bytes that the record's key, value and headers hold, by which buffers are bounded.
func (r *Record) Size() int { return size(r.Key, r.Value, r.Headers) }

func size(key, value []byte, headers []Header) int {
	n := len(key) + len(value)
	for _, h := range headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// Header returns the value of the last header with the given key (the last one wins in Kafka's own clients) and
// whether there is one.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// AnyPartition leaves the choice of the partition to the producer's partitioner.
const AnyPartition int32 = -1

// Outgoing is a record to produce.
type Outgoing struct {
	Topic string
	// Partition is the partition to produce to, or [AnyPartition].
	Partition  int32
	Key, Value []byte
	Headers    []Header
	// Timestamp is the record's time of creation; zero means now.
	Timestamp time.Time
}

// Size is the number of bytes that the record's key, value and headers hold.
func (o *Outgoing) Size() int { return size(o.Key, o.Value, o.Headers) }

// Position is where a produced record was stored.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Verdict is what became of one delivery of a record.
type Verdict uint8

const (
	// Retry asks for another delivery later. It is the zero value, so that a forgotten verdict can never lose a
	// record.
	Retry Verdict = iota
	// Done says that the component has finished with the record.
	Done
	// Reject says that no further delivery can help: the record is to be dead-lettered or skipped.
	Reject
)

func (v Verdict) String() string {
	switch v {
	case Done:
		return "done"
	case Reject:
		return "reject"
	default:
		return "retry"
	}
}

// ErrUnavailable is wrapped by the error of a delivery that never reached a component: none runs, or the lattice
// was out of reach. Such a delivery is no attempt: the record is held until a component is there again.
var ErrUnavailable = errors.New("no component took the call")

// ErrSkipped is wrapped by the error that comes with [Done] where the link's settings finish a record without a call of
// the component. It says nothing of whether a component is there.
var ErrSkipped = errors.New("the record is finished without a call")

// Deliverer hands records to a component. It is the seam between the two halves of the provider: Kafka's side
// calls it and knows nothing of NATS; the lattice's side implements it and knows nothing of Kafka.
type Deliverer interface {
	// Deliver hands r over and waits for the verdict. A verdict other than [Done] comes with an error that says why
	// in words for the operator. The error wraps [ErrUnavailable] where the verdict is [Retry] and no component was
	// reached, and [ErrSkipped] where it is [Done] and none was called. Deliver returns soon after ctx ends, with [Retry] and ctx's error; the component may still be at work
	// on the record then. It is called by many goroutines at once.
	Deliver(ctx context.Context, r *Record) (Verdict, error)
}
