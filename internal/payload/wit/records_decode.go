package wit

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// maxNames is how many names of topics and headers a call keeps to use them again.
const maxNames = 256

// reader decodes the values of one call. The parts of its records come out of few arrays, and a name that comes back
// is made once.
type reader struct {
	d       *Decoder
	records int // how many more outgoing records may come
	headers int // how many more headers may come
	names   map[string]string

	headerSlab   slab[record.Header]
	outgoingSlab slab[record.Outgoing]
}

func newReader(d *Decoder) *reader {
	return &reader{d: d, records: maxRecords, headers: maxHeaders}
}

// DecodeBatch reads list<incoming>.
func DecodeBatch(d *Decoder) ([]*record.Record, error) {
	r := newReader(d)
	return DecodeList(d, maxRecords, func(*Decoder) (*record.Record, error) { return r.incoming() })
}

// DecodeIncoming reads an incoming.
func DecodeIncoming(d *Decoder) (*record.Record, error) { return newReader(d).incoming() }

// DecodeOutgoings reads list<outgoing>.
func DecodeOutgoings(d *Decoder) ([]record.Outgoing, error) { return newReader(d).outgoings() }

// DecodeOutgoing reads an outgoing.
func DecodeOutgoing(d *Decoder) (record.Outgoing, error) {
	var out record.Outgoing
	err := newReader(d).outgoing(&out)
	return out, err
}

func (r *reader) incoming() (*record.Record, error) {
	rec := &record.Record{LeaderEpoch: -1}
	var err error
	if rec.Topic, err = r.name(); err != nil {
		return nil, fmt.Errorf("decoding incoming.topic: %w", err)
	}
	if rec.Partition, err = r.partition(); err != nil {
		return nil, fmt.Errorf("decoding incoming.partition: %w", err)
	}
	offset, err := r.d.U64()
	if err != nil {
		return nil, fmt.Errorf("decoding incoming.offset: %w", err)
	}
	rec.Offset = int64(offset)
	if rec.Timestamp, err = r.timestamp(); err != nil {
		return nil, fmt.Errorf("decoding incoming.timestamp: %w", err)
	}
	if rec.Key, err = r.payload(); err != nil {
		return nil, fmt.Errorf("decoding incoming.key: %w", err)
	}
	if rec.Value, err = r.payload(); err != nil {
		return nil, fmt.Errorf("decoding incoming.value: %w", err)
	}
	if rec.Headers, err = r.headerList(); err != nil {
		return nil, fmt.Errorf("decoding incoming.headers: %w", err)
	}
	attempt, err := r.d.U32()
	if err != nil {
		return nil, fmt.Errorf("decoding incoming.attempt: %w", err)
	}
	rec.Attempt = int(attempt)
	return rec, nil
}

func (r *reader) outgoings() ([]record.Outgoing, error) {
	n, err := r.d.Count(r.records)
	if err != nil || n == 0 {
		return nil, err
	}
	r.records -= n
	list, err := r.outgoingSlab.begin(r.d, n)
	if err != nil {
		return nil, err
	}
	for i := range n {
		if list, err = Grow(r.d, list, n); err != nil {
			return nil, err
		}
		// Decoded where it stays: a record is too large to be copied on its way there.
		list = append(list, record.Outgoing{})
		if err := r.outgoing(&list[i]); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return r.outgoingSlab.end(list), nil
}

func (r *reader) outgoing(out *record.Outgoing) error {
	var err error
	if out.Topic, err = r.name(); err != nil {
		return fmt.Errorf("decoding outgoing.topic: %w", err)
	}
	out.Partition = record.AnyPartition
	some, err := r.d.Option()
	if err == nil && some {
		out.Partition, err = r.partition()
	}
	if err != nil {
		return fmt.Errorf("decoding outgoing.partition: %w", err)
	}
	if out.Key, err = r.payload(); err != nil {
		return fmt.Errorf("decoding outgoing.key: %w", err)
	}
	if out.Value, err = r.payload(); err != nil {
		return fmt.Errorf("decoding outgoing.value: %w", err)
	}
	if out.Headers, err = r.headerList(); err != nil {
		return fmt.Errorf("decoding outgoing.headers: %w", err)
	}
	if some, err = r.d.Option(); err == nil && some {
		out.Timestamp, err = r.timestamp()
	}
	if err != nil {
		return fmt.Errorf("decoding outgoing.timestamp: %w", err)
	}
	return nil
}

func (r *reader) position() (record.Position, error) {
	var p record.Position
	var err error
	if p.Topic, err = r.name(); err != nil {
		return p, fmt.Errorf("decoding position.topic: %w", err)
	}
	if p.Partition, err = r.partition(); err != nil {
		return p, fmt.Errorf("decoding position.partition: %w", err)
	}
	offset, err := r.d.U64()
	if err != nil {
		return p, fmt.Errorf("decoding position.offset: %w", err)
	}
	p.Offset = int64(offset)
	return p, nil
}

func (r *reader) partition() (int32, error) {
	v, err := r.d.U32()
	return int32(min(v, math.MaxInt32)), err
}

func (r *reader) timestamp() (time.Time, error) {
	ms, err := r.d.U64()
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(min(ms, math.MaxInt64))), nil
}

func (r *reader) payload() ([]byte, error) {
	index, err := r.d.Case(payloadCases)
	if err != nil {
		return nil, err
	}
	switch index {
	case payloadText:
		return r.d.Text()
	case payloadBytes:
		return r.d.Bytes()
	case payloadBase64:
		return r.base64()
	default:
		return nil, nil
	}
}

func (r *reader) base64() ([]byte, error) {
	text, err := r.d.Text()
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(text))), text)
	if err != nil {
		return nil, fmt.Errorf("decoding payload.base64: %w", err)
	}
	return b, nil
}

func (r *reader) headerList() ([]record.Header, error) {
	n, err := r.d.Count(r.headers)
	if err != nil || n == 0 {
		return nil, err
	}
	r.headers -= n
	list, err := r.headerSlab.begin(r.d, n)
	if err != nil {
		return nil, err
	}
	for i := range n {
		if list, err = Grow(r.d, list, n); err != nil {
			return nil, err
		}
		var h record.Header
		if h.Key, err = r.name(); err != nil {
			return nil, fmt.Errorf("name of header %d: %w", i, err)
		}
		if h.Value, err = r.payload(); err != nil {
			return nil, fmt.Errorf("value of header %d: %w", i, err)
		}
		list = append(list, h)
	}
	return r.headerSlab.end(list), nil
}

// name reads a string of which there are few different ones.
func (r *reader) name() (string, error) {
	b, err := r.d.Text()
	if err != nil {
		return "", err
	}
	if s, known := r.names[string(b)]; known {
		return s, nil
	}
	s := string(b)
	if r.names == nil {
		r.names = make(map[string]string)
	}
	if len(r.names) < maxNames {
		r.names[s] = s
	}
	return s, nil
}
