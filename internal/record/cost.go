package record

import "unsafe"

// The memory that a record takes besides its bytes. Memory is handed out in sizes that are up to an eighth larger than
// what was asked for, and a text of a few bytes takes sixteen.
const (
	recordCost   = int64(unsafe.Sizeof(Record{})) + 16
	outgoingCost = int64(unsafe.Sizeof(Outgoing{})) + 16
	headerCost   = int64(unsafe.Sizeof(Header{})) + 16
)

// Cost is about how much memory the record takes: its bytes, and the structs and slices that hold them. Buffers are
// bounded by it, since a record of one byte takes two hundred.
func (r *Record) Cost() int64 { return recordCost + cost(r.Key, r.Value, r.Headers) }

// Cost is about how much memory the record takes.
func (o *Outgoing) Cost() int64 { return outgoingCost + cost(o.Key, o.Value, o.Headers) }

func cost(key, value []byte, headers []Header) int64 {
	n := int64(size(key, value, headers))
	return n + n/8 + int64(len(headers))*headerCost
}
