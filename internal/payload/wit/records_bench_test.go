package wit

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// value returns n bytes of text, or of what is none.
func value(n int, text bool) []byte {
	v := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), n/45+1)[:n]
	if !text {
		v[0] = 0xff
	}
	return v
}

func batchOf(n int, text bool) []*record.Record {
	batch := make([]*record.Record, n)
	for i := range batch {
		batch[i] = &record.Record{
			Topic: "orders", Partition: 3, Offset: int64(1_000_000 + i), Timestamp: time.UnixMilli(1_700_000_000_000),
			Key: []byte("customer-4711"), Value: value(1024, text), Attempt: 1,
			Headers: []record.Header{{Key: "traceparent", Value: value(55, true)},
				{Key: "content-type", Value: []byte("text/plain")}},
		}
	}
	return batch
}

// outcomesOf is what a processor says that sends each record on.
func outcomesOf(batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{
			{Topic: "enriched", Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: r.Headers},
		}}
	}
	return outcomes
}

// messages are the parts of a stream as NATS brings them, with 1 MiB at most.
type messages struct{ left []byte }

func (m *messages) Next() ([]byte, error) {
	if len(m.left) == 0 {
		return nil, io.EOF
	}
	n := min(len(m.left), 1<<20)
	part := m.left[:n:n]
	m.left = m.left[n:]
	return part, nil
}

func streamOf(b []byte) *Decoder { return NewDecoder(&messages{left: b}, 64<<20) }

var forms = []struct {
	name string
	text bool
}{{"text", true}, {"bytes", false}}

// The benchmarks are of 500 records of 1 KiB with a key and two headers each.

func BenchmarkEncodeBatch(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			batch := batchOf(500, form.text)
			b.SetBytes(int64(len(encoding{}.batch(nil, batch))))
			b.ReportAllocs()
			for b.Loop() {
				encoding{}.batch(nil, batch)
			}
		})
	}
}

func BenchmarkDecodeProcessed(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			encoded := AppendProcessed(nil, outcomesOf(batchOf(500, form.text)))
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newReader(streamOf(encoded)).outcomes(500, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeHandled(b *testing.B) {
	encoded := AppendHandled(nil, outcomesOf(batchOf(500, true)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newReader(streamOf(encoded)).outcomes(500, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeSend(b *testing.B) {
	var list []record.Outgoing
	for _, o := range outcomesOf(batchOf(500, true)) {
		list = append(list, o.Outputs...)
	}
	encoded := AppendOutgoings(nil, list)
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeOutgoings(streamOf(encoded)); err != nil {
			b.Fatal(err)
		}
	}
}

// What the benchmarks measure must stay as it is: a batch costs few allocations, however many records it has.
func TestABatchCostsFewAllocations(t *testing.T) {
	batch := batchOf(500, true)
	outcomes := outcomesOf(batch)
	processed, handled := AppendProcessed(nil, outcomes), AppendHandled(nil, outcomes)
	var failed error
	for _, c := range []struct {
		name string
		most float64
		run  func()
	}{
		// It is one, but what the rest of the process allocates meanwhile counts as well.
		{"to encode", 10, func() { encoding{}.batch(nil, batch) }},
		{"to encode a processor's result", 10, func() { AppendProcessed(nil, outcomes) }},
		{"to decode a processor's result", 50, func() {
			_, err := newReader(NewBytesDecoder(processed)).outcomes(500, true)
			failed = errors.Join(failed, err)
		}},
		{"to decode a handler's result", 10, func() {
			_, err := newReader(NewBytesDecoder(handled)).outcomes(500, false)
			failed = errors.Join(failed, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(10, c.run); n > c.most || failed != nil {
				t.Errorf("%v allocations, want %v at most (%v)", n, c.most, failed)
			}
		})
	}
}
