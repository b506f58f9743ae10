package wit

import (
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// orNil returns nil where the bit of nulls is set.
func orNil(v []byte, nulls uint8, bit int) []byte {
	if nulls&(1<<bit) != 0 {
		return nil
	}
	if v == nil {
		return []byte{}
	}
	return v
}

// FuzzRecords: every record survives the way to a component, and every output the way back.
func FuzzRecords(f *testing.F) {
	f.Add("orders", int32(3), int64(1000), int64(30000), []byte("k"), []byte("v"), "h", []byte{0xff}, uint32(1),
		uint8(0), uint8(3))
	f.Add("", int32(-1), int64(0), int64(-1), []byte{}, []byte{}, "", []byte{}, uint32(0), uint8(7), uint8(0))
	f.Add("\xff", int32(1<<30), int64(1<<62), int64(1<<62), []byte("\xc3"), []byte("ü"), "\xff", []byte("x"),
		uint32(1<<31), uint8(2), uint8(200))
	f.Fuzz(func(t *testing.T, topic string, partition int32, offset, millis int64, key, value []byte,
		name string, hv []byte,
		attempt uint32, nulls, n uint8) {
		if !utf8.ValidString(topic) || !utf8.ValidString(name) {
			topic, name = "t", "h" // what becomes of other names has a test of its own
		}
		partition, millis = max(0, partition), max(0, millis)
		rec := &record.Record{
			Topic: topic, Partition: partition, Offset: offset, LeaderEpoch: -1, Timestamp: time.UnixMilli(millis),
			Key: orNil(key, nulls, 0), Value: orNil(value, nulls, 1), Attempt: int(max(1, attempt)),
		}
		for range n % 8 {
			rec.Headers = append(rec.Headers, record.Header{Key: name, Value: orNil(hv, nulls, 2)})
		}
		batch := []*record.Record{rec, rec}
		b := encoding{}.batch(nil, batch)
		if most := 2*incomingBound(rec) + numbersBound; len(b) > most {
			t.Fatalf("%d bytes exceed the bound of %d", len(b), most)
		}
		got, err := DecodeBatch(NewBytesDecoder(b))
		if err != nil || !reflect.DeepEqual(got, batch) {
			t.Fatalf("%+v became %+v (%v)", rec, got, err)
		}
		b = encoding{base64: true}.batch(nil, batch)
		if got, err := DecodeBatch(NewBytesDecoder(b)); err != nil || !reflect.DeepEqual(got, batch) {
			t.Fatalf("by base64, %+v became %+v (%v)", rec, got, err)
		}
		out := record.Outgoing{Topic: topic, Partition: partition, Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
			Timestamp: rec.Timestamp}
		if nulls&8 != 0 {
			out.Partition, out.Timestamp = record.AnyPartition, time.Time{}
		}
		outcomes := []record.Outcome{{Kind: record.Done, Outputs: []record.Outgoing{out, out}},
			{Kind: record.Done, Outputs: []record.Outgoing{out}}}
		b = AppendProcessed(nil, outcomes)
		if most := 3*outgoingBound(&out) + 3*numbersBound; len(b) > most {
			t.Fatalf("%d bytes exceed the bound of %d", len(b), most)
		}
		gotOutcomes, err := newReader(NewBytesDecoder(b)).outcomes(2, true)
		if err != nil || !reflect.DeepEqual(gotOutcomes, outcomes) {
			t.Fatalf("%+v became %+v (%v)", out, gotOutcomes, err)
		}
	})
}

// FuzzDecode: no bytes make a decoder panic, and what is decoded survives encoding and decoding.
func FuzzDecodeRecords(f *testing.F) {
	for _, c := range goldenIncoming {
		f.Add([]byte("\x01"+c.bytes), 1)
	}
	for _, c := range goldenOutgoing {
		f.Add([]byte("\x01"+c.bytes), 1)
		f.Add([]byte("\x02\x00\x01"+c.bytes+"\x01\x01\x03bad"), 2)
	}
	f.Add([]byte("\x02\x00\x01t\x03\xe8\x07\x01\x00\xac\x02\x80\x01"), 2)
	f.Add([]byte("\x00\x00\x00\x00\x81\x80\x40"), 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if batch, err := DecodeBatch(NewBytesDecoder(b)); err == nil {
			for _, r := range batch {
				r.Timestamp, r.Attempt, r.Partition = time.UnixMilli(max(0, r.Timestamp.UnixMilli())), max(1, r.Attempt),
					max(0, r.Partition)
			}
			again(t, batch, encoding{}.batch(nil, batch), DecodeBatch)
		}
		if list, err := DecodeOutgoings(NewBytesDecoder(b)); err == nil {
			again(t, list, AppendOutgoings(nil, list), DecodeOutgoings)
		}
		n &= 0xff
		for _, outputs := range []bool{false, true} {
			decode := func(d *Decoder) ([]record.Outcome, error) { return newReader(d).outcomes(n, outputs) }
			if outcomes, err := decode(NewBytesDecoder(b)); err == nil {
				again(t, outcomes, appendOutcomes(nil, outcomes, outputs), decode)
			}
		}
		if results, err := DecodeSent(NewBytesDecoder(b)); err == nil {
			again(t, results, AppendSent(results), DecodeSent)
		}
		if answer, failure, err := DecodeAnswer(NewBytesDecoder(b)); err == nil && (answer == nil) == (failure == nil) {
			t.Fatalf("an answer of %v and %v", answer, failure)
		}
	})
}

func again[T any](t *testing.T, want T, encoded []byte, decode func(*Decoder) (T, error)) {
	t.Helper()
	got, err := decode(NewBytesDecoder(encoded))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v became %+v (%v)", want, got, err)
	}
}
