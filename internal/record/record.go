package record

import (
	"slices"
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

	// stored is the record as Kafka has it, where this one has another content; nil where it is that itself.
	stored *Record
	json   bool // the value was made JSON
}

// WithContent returns the record with another key and value, made of its own. isJSON tells that the value is JSON now,
// whatever the headers say.
func (r *Record) WithContent(key, value []byte, isJSON bool) *Record {
	made := *r
	made.Key, made.Value, made.stored, made.json = key, value, r.Stored(), isJSON
	return &made
}

// Stored is the record as Kafka has it: r itself, or the one of which it was made.
func (r *Record) Stored() *Record {
	if r.stored != nil {
		return r.stored
	}
	return r
}

// MadeJSON tells whether the value was made JSON of what Kafka has.
func (r *Record) MadeJSON() bool { return r.json }

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
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == key {
			return h.Value, true
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

// Result is what became of a record that was to be stored.
type Result struct {
	// Position is where the record was stored. Its offset is -1 where the record was not stored, or nobody has told
	// where.
	Position
	// Err says why the record was not stored, or that nobody knows whether it was; nil where it was.
	Err error
}
