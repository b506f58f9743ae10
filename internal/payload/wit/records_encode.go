package wit

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The cases of types.payload.
const (
	payloadNone uint32 = iota
	payloadText
	payloadBytes
	payloadBase64
	payloadCases
)

// numbersBound bounds what the numbers, options, counts and lengths of one record take beside its topic, key, value
// and headers, and headerBound what each header takes beside its name and value.
const (
	numbersBound = 64
	headerBound  = 11
)

// AppendIncoming appends an incoming. The record's leader epoch has no place in it.
func AppendIncoming(b []byte, r *record.Record) []byte { return encoding{}.incoming(b, r) }

// encoding is how what is no UTF-8 is given to a component: as list<u8> or, with base64, as text.
type encoding struct{ base64 bool }

// AppendBatch appends list<incoming>, the parameters of handler.handle and processor.process. With base64, invalid
// UTF-8 goes as base64 in place of bytes. It grows b once.
func AppendBatch(b []byte, batch []*record.Record, base64 bool) []byte {
	return encoding{base64: base64}.batch(b, batch)
}

func (e encoding) batch(b []byte, batch []*record.Record) []byte {
	bound := numbersBound
	for _, r := range batch {
		bound += incomingBound(r)
	}
	if e.base64 {
		bound += bound/3 + 1
	}
	b = AppendCount(slices.Grow(b, bound), len(batch))
	for _, r := range batch {
		b = e.incoming(b, r)
	}
	return b
}

// incomingBound bounds the encoded size where all names are UTF-8 and nothing is base64.
func incomingBound(r *record.Record) int {
	return numbersBound + len(r.Topic) + r.Size() + headerBound*len(r.Headers)
}

func (e encoding) incoming(b []byte, r *record.Record) []byte {
	b = appendName(b, r.Topic)
	b = AppendU32(b, uint32(r.Partition))
	b = AppendU64(b, uint64(r.Offset))
	b = AppendU64(b, uint64(max(0, r.Timestamp.UnixMilli())))
	b = e.payload(b, r.Key)
	b = e.payload(b, r.Value)
	b = e.headers(b, r.Headers)
	return AppendU32(b, uint32(min(max(1, int64(r.Attempt)), math.MaxUint32)))
}

// AppendOutgoings appends list<outgoing>, the parameters of producer.send. It grows b once.
func AppendOutgoings(b []byte, list []record.Outgoing) []byte {
	bound := numbersBound
	for i := range list {
		bound += outgoingBound(&list[i])
	}
	return appendOutgoings(slices.Grow(b, bound), list)
}

func appendOutgoings(b []byte, list []record.Outgoing) []byte {
	b = AppendCount(b, len(list))
	for i := range list {
		b = AppendOutgoing(b, &list[i])
	}
	return b
}

func outgoingBound(r *record.Outgoing) int {
	n := numbersBound + len(r.Topic) + len(r.Key) + len(r.Value) + headerBound*len(r.Headers)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// AppendOutgoing appends an outgoing. A zero timestamp and [record.AnyPartition] are none.
func AppendOutgoing(b []byte, r *record.Outgoing) []byte {
	b = appendName(b, r.Topic)
	b = AppendOption(b, r.Partition >= 0)
	if r.Partition >= 0 {
		b = AppendU32(b, uint32(r.Partition))
	}
	b = encoding{}.payload(b, r.Key)
	b = encoding{}.payload(b, r.Value)
	b = encoding{}.headers(b, r.Headers)
	if r.Timestamp.IsZero() {
		return AppendOption(b, false)
	}
	return AppendU64(AppendOption(b, true), uint64(max(0, r.Timestamp.UnixMilli())))
}

func appendPosition(b []byte, p record.Position) []byte {
	b = appendName(b, p.Topic)
	b = AppendU32(b, uint32(p.Partition))
	return AppendU64(b, uint64(p.Offset))
}

func (e encoding) payload(b, v []byte) []byte {
	switch {
	case v == nil:
		return AppendCase(b, payloadNone)
	case utf8.Valid(v):
		return AppendBytes(AppendCase(b, payloadText), v) // a string has the encoding of its bytes
	case e.base64:
		b = AppendCount(AppendCase(b, payloadBase64), base64.StdEncoding.EncodedLen(len(v)))
		return base64.StdEncoding.AppendEncode(b, v)
	default:
		return AppendBytes(AppendCase(b, payloadBytes), v)
	}
}

func (e encoding) headers(b []byte, headers []record.Header) []byte {
	b = AppendCount(b, len(headers))
	for i := range headers {
		b = appendName(b, headers[i].Key)
		b = e.payload(b, headers[i].Value)
	}
	return b
}

// appendName appends a string of which a peer elsewhere is only supposed to have made it UTF-8: a string that is not
// would fail the call each time, and with it all records of the batch.
func appendName(b []byte, s string) []byte {
	return AppendString(b, strings.ToValidUTF8(s, "\uFFFD"))
}
