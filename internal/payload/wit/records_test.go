package wit

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func ms(n int64) time.Time { return time.UnixMilli(n) }

var goldenIncoming = []struct {
	name  string
	rec   record.Record
	bytes string
}{
	{"with everything", record.Record{
		Topic: "orders", Partition: 300, Offset: 1000, LeaderEpoch: -1, Timestamp: ms(30000),
		Key: []byte("k"), Value: []byte("hi"), Attempt: 2,
		Headers: []record.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0xff}}, {Key: "b"},
			{Key: "", Value: []byte{}}},
	}, "\x06orders" + "\xac\x02" + "\xe8\x07" + "\xb0\xea\x01" + "\x01\x01k" + "\x01\x02hi" +
		"\x04" + "\x01a\x01\x011" + "\x01a\x02\x01\xff" + "\x01b\x00" + "\x00\x01\x00" + "\x02"},
	{"a tombstone", record.Record{
		Topic: "t", LeaderEpoch: -1, Timestamp: ms(0), Key: []byte{0, 0xc3}, Attempt: 1,
	}, "\x01t" + "\x00" + "\x00" + "\x00" + "\x02\x02\x00\xc3" + "\x00" + "\x00" + "\x01"},
	{"with empty key and value and the largest numbers", record.Record{
		Topic: "t", Partition: math.MaxInt32, Offset: math.MaxInt64, LeaderEpoch: -1, Timestamp: ms(math.MaxInt64),
		Key: []byte{}, Value: []byte{}, Attempt: math.MaxUint32,
	}, "\x01t" + "\xff\xff\xff\xff\x07" + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f" +
		"\x01\x00" + "\x01\x00" + "\x00" + "\xff\xff\xff\xff\x0f"},
}

func TestIncomingRecordsHaveTheirBytes(t *testing.T) {
	var batch []*record.Record
	all := string(byte(len(goldenIncoming)))
	for _, c := range goldenIncoming {
		batch = append(batch, &c.rec)
		all += c.bytes
		t.Run(c.name, func(t *testing.T) {
			if got := AppendIncoming(nil, &c.rec); string(got) != c.bytes {
				t.Errorf("encoded as % x, not % x", got, c.bytes)
			}
			got, err := DecodeIncoming(NewBytesDecoder([]byte(c.bytes)))
			if err != nil || !reflect.DeepEqual(*got, c.rec) {
				t.Errorf("decoded as %+v (%v), not %+v", got, err, c.rec)
			}
			cutShort(t, c.bytes, func(d *Decoder) error { _, err := DecodeIncoming(d); return err })
		})
	}
	t.Run("in a batch", func(t *testing.T) {
		if got := (encoding{}).batch(nil, batch); string(got) != all {
			t.Errorf("encoded as % x, not % x", got, all)
		}
		got, err := DecodeBatch(NewBytesDecoder([]byte(all)))
		if err != nil || !reflect.DeepEqual(got, batch) {
			t.Errorf("decoded as %+v (%v)", got, err)
		}
		if got := (encoding{}).batch([]byte("x"), nil); string(got) != "x\x00" {
			t.Errorf("an empty batch is % x", got)
		}
	})
}

func TestBytesGoAsBase64WhereTheLinkSaysSo(t *testing.T) {
	rec := &record.Record{
		Topic: "t", LeaderEpoch: -1, Timestamp: ms(0), Key: []byte("text"), Value: []byte{0xff, 0xfe},
		Headers: []record.Header{{Key: "h", Value: []byte{0xff}}, {Key: "n"}}, Attempt: 1,
	}
	want := "\x01" + "\x01t" + "\x00" + "\x00" + "\x00" + "\x01\x04text" + "\x03\x04//4=" + "\x02" + "\x01h\x03\x04/w==" +
		"\x01n\x00" + "\x01"
	got := (encoding{base64: true}).batch(nil, []*record.Record{rec})
	if string(got) != want {
		t.Fatalf("encoded as %q, not %q", got, want)
	}
	back, err := DecodeBatch(NewBytesDecoder(got))
	if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], rec) {
		t.Errorf("decoded as %+v (%v)", back, err)
	}
	if _, err := DecodeOutgoing(NewBytesDecoder([]byte("\x01t\x00\x00\x03\x02/w\x00\x00"))); err == nil ||
		!strings.Contains(err.Error(), "payload.base64") {
		t.Errorf("a string that is no base64: %v", err)
	}
}

var goldenOutgoing = []struct {
	name  string
	rec   record.Outgoing
	bytes string
}{
	{"with everything", record.Outgoing{
		Topic: "orders", Partition: 300, Key: []byte("k"), Value: []byte{0xff}, Timestamp: ms(1000),
		Headers: []record.Header{{Key: "h", Value: []byte("v")}, {Key: "h"}},
	}, "\x06orders" + "\x01\xac\x02" + "\x01\x01k" + "\x02\x01\xff" + "\x02" + "\x01h\x01\x01v" + "\x01h\x00" +
		"\x01\xe8\x07"},
	{"with nothing", record.Outgoing{Partition: record.AnyPartition}, "\x00" + "\x00" + "\x00" + "\x00" + "\x00" + "\x00"},
	{"of partition 0 and 1970", record.Outgoing{Topic: "t", Value: []byte{}, Timestamp: ms(0)},
		"\x01t" + "\x01\x00" + "\x00" + "\x01\x00" + "\x00" + "\x01\x00"},
}

func TestOutgoingRecordsHaveTheirBytes(t *testing.T) {
	var list []record.Outgoing
	all := string(byte(len(goldenOutgoing)))
	for _, c := range goldenOutgoing {
		list = append(list, c.rec)
		all += c.bytes
		t.Run(c.name, func(t *testing.T) {
			if got := AppendOutgoing(nil, &c.rec); string(got) != c.bytes {
				t.Errorf("encoded as % x, not % x", got, c.bytes)
			}
			got, err := DecodeOutgoing(NewBytesDecoder([]byte(c.bytes)))
			if err != nil || !reflect.DeepEqual(got, c.rec) {
				t.Errorf("decoded as %+v (%v), not %+v", got, err, c.rec)
			}
			cutShort(t, c.bytes, func(d *Decoder) error { _, err := DecodeOutgoing(d); return err })
		})
	}
	t.Run("in a list", func(t *testing.T) {
		if got := AppendOutgoings(nil, list); string(got) != all {
			t.Errorf("encoded as % x, not % x", got, all)
		}
		got, err := DecodeOutgoings(NewBytesDecoder([]byte(all)))
		if err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf("decoded as %+v (%v)", got, err)
		}
		cutShort(t, all, func(d *Decoder) error { _, err := DecodeOutgoings(d); return err })
	})
}

func TestOutcomesHaveTheirBytes(t *testing.T) {
	outcomes := []record.Outcome{
		{Kind: record.Done},
		{Kind: record.Retry, Err: errors.New("later")},
		{Kind: record.Reject, Err: errors.New("bad")},
		{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "t", Partition: 1}, {Topic: "t", Partition: record.AnyPartition}}},
	}
	const failures = "\x01\x00\x05later" + "\x01\x01\x03bad"
	for _, c := range []struct {
		name    string
		encode  func([]byte, []record.Outcome) []byte
		outputs bool
		bytes   string
	}{
		{"of a handler", AppendHandled, false, "\x04" + "\x00" + failures + "\x00"},
		{"of a processor", AppendProcessed, true, "\x04" + "\x00\x00" + failures +
			"\x00\x02" + "\x01t\x01\x01\x00\x00\x00\x00" + "\x01t\x00\x00\x00\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.encode(nil, outcomes); string(got) != c.bytes {
				t.Errorf("encoded as % x, not % x", got, c.bytes)
			}
			want := append([]record.Outcome(nil), outcomes...)
			if !c.outputs {
				want[3].Outputs = nil
			}
			decode := func(d *Decoder) ([]record.Outcome, error) { return newReader(d).outcomes(len(want), c.outputs) }
			got, err := decode(NewBytesDecoder([]byte(c.bytes)))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded as %+v (%v), not %+v", got, err, want)
			}
			cutShort(t, c.bytes, func(d *Decoder) error { _, err := decode(d); return err })
		})
	}
	t.Run("with a failure that gives no reason", func(t *testing.T) {
		b := AppendHandled(nil, []record.Outcome{{}})
		got, err := newReader(NewBytesDecoder(b)).outcomes(1, false)
		if string(b) != "\x01\x01\x00\x00" || err != nil || got[0].Kind != record.Retry || got[0].Err.Error() != noReason {
			t.Errorf("% x became %+v (%v)", b, got, err)
		}
	})
	t.Run("but not with another number than that of the records", func(t *testing.T) {
		for _, b := range []string{"\x00", "\x01\x00", "\x03\x00\x00\x00"} {
			_, err := newReader(NewBytesDecoder([]byte(b))).outcomes(2, false)
			if err == nil || !strings.Contains(err.Error(), string('0'+rune(b[0]))+" results for a batch of 2") {
				t.Errorf("% x: %v", b, err)
			}
		}
	})
}

func TestResultsOfSendHaveTheirBytes(t *testing.T) {
	results := []record.Result{
		{Position: record.Position{Topic: "t", Partition: 3, Offset: 1000}},
		{Err: &SendError{Case: TooLarge, Size: 300, Limit: 128}}, {Err: &SendError{Case: UnknownTopic, Text: "a"}},
		{Err: &SendError{Case: NotAuthorised, Text: "b"}}, {Err: &SendError{Case: TimedOut, Text: "c"}},
		{Err: &SendError{Case: Unavailable, Text: "d"}}, {Err: &SendError{Case: Invalid, Text: "e"}}, {Err: &SendError{Case: Other}},
		{Position: record.Position{Topic: "t", Partition: 0, Offset: -1}},
	}
	const want = "\x09" + "\x00\x01t\x03\xe8\x07" + "\x01\x00\xac\x02\x80\x01" + "\x01\x01\x01a" + "\x01\x02\x01b" +
		"\x01\x03\x01c" +
		"\x01\x04\x01d" + "\x01\x05\x01e" + "\x01\x06\x00" + "\x00\x01t\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	if got := AppendSent(results); string(got) != want {
		t.Errorf("encoded as % x, not % x", got, want)
	}
	got, err := DecodeSent(NewBytesDecoder([]byte(want)))
	if err != nil || !reflect.DeepEqual(got, results) {
		t.Errorf("decoded as %+v (%v)", got, err)
	}
	cutShort(t, want, func(d *Decoder) error { _, err := DecodeSent(d); return err })
}

func TestWhatPeersMustNotSendIsMendedOrRefused(t *testing.T) {
	t.Run("names that are not UTF-8 go out with a replacement", func(t *testing.T) {
		b := AppendIncoming(nil, &record.Record{Topic: "t\xff", Headers: []record.Header{{Key: "\xc3h\xff\xff"}}})
		got, err := DecodeIncoming(NewBytesDecoder(b))
		if err != nil || got.Topic != "t\uFFFD" || got.Headers[0].Key != "\uFFFDh\uFFFD" {
			t.Errorf("%+v (%v)", got, err)
		}
	})
	t.Run("a record without timestamp and attempt has the first of both", func(t *testing.T) {
		got, err := DecodeIncoming(NewBytesDecoder(AppendIncoming(nil, &record.Record{Timestamp: ms(-1)})))
		if err != nil || got.Timestamp.UnixMilli() != 0 || got.Attempt != 1 {
			t.Errorf("%+v (%v)", got, err)
		}
	})
	t.Run("a partition and a timestamp beyond Kafka's are the largest", func(t *testing.T) {
		got, err := DecodeOutgoing(NewBytesDecoder([]byte("\x01t" + "\x01\xff\xff\xff\xff\x0f" + "\x00\x00\x00" +
			"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")))
		if err != nil || got.Partition != math.MaxInt32 || got.Timestamp.UnixMilli() != math.MaxInt64 {
			t.Errorf("%+v (%v)", got, err)
		}
	})
	for _, c := range []struct {
		name, bytes, mention string
		want                 error
	}{
		{"a topic that is not UTF-8", "\x01\xff", "topic", ErrMalformed},
		{"a text that is not UTF-8", "\x00\x00\x01\x01\xff", "key", ErrMalformed},
		{"an unknown case of payload", "\x00\x00\x00\x04", "value", ErrMalformed},
		{"an option that is neither", "\x00\x02", "partition", ErrMalformed},
		{"a header's name that is not UTF-8", "\x00\x00\x00\x00\x01\x01\xff\x00", "name of header 0", ErrMalformed},
		{"more headers than bytes", "\x00\x00\x00\x00\x7f", "headers", ErrIncomplete},
		{"too many headers", "\x00\x00\x00\x00\x81\x80\x40", "headers", ErrTooLarge},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			_, err := DecodeOutgoing(NewBytesDecoder([]byte(c.bytes)))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.mention) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A record of the wire's six bytes has 120 in memory, a header's two have 40.
func TestRecordsAndHeadersOfACallAreBoundedTogether(t *testing.T) {
	const empty = "\x00\x00\x00\x00\x00\x00"
	outputs := "\x00" + string(AppendCount(nil, maxRecords/2+1)) + strings.Repeat(empty, maxRecords/2+1)
	_, err := newReader(NewBytesDecoder([]byte("\x02"+outputs+outputs))).outcomes(2, true)
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "result 1") {
		t.Errorf("too many outputs give %v", err)
	}
	headers := "\x00\x00\x00\x00" + string(AppendCount(nil, maxHeaders/2+1)) + strings.Repeat("\x00\x00", maxHeaders/2+1) +
		"\x00"
	_, err = DecodeOutgoings(NewBytesDecoder([]byte("\x02" + headers + headers)))
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "record 1") {
		t.Errorf("too many headers give %v", err)
	}
	_, err = DecodeOutgoings(NewBytesDecoder(AppendCount(nil, maxRecords+1)))
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many records give %v", err)
	}
}

func TestListsOfOneSlabDoNotTouch(t *testing.T) {
	var s slab[int]
	var lists [][]int
	for n := range 100 {
		list, err := s.begin(NewBytesDecoder(nil), n)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			list = append(list, n)
		}
		lists = append(lists, s.end(list))
	}
	large, err := s.begin(NewBytesDecoder(nil), 1<<20) // claimed
	if err != nil {
		t.Fatal(err)
	}
	large = append(large, -1)
	lists = append(lists, s.end(large))
	if s.size > slabMost {
		t.Errorf("a claim of 1 Mi elements makes room for %d", s.size)
	}
	for n, list := range lists[:100] {
		_ = append(list, -2)
		if len(list) != n {
			t.Fatalf("list %d has %d elements", n, len(list))
		}
	}
	for n, list := range lists[:100] {
		for _, v := range list {
			if v != n {
				t.Fatalf("list %d has a %d", n, v)
			}
		}
	}
	if large := lists[100]; len(large) != 1 || large[0] != -1 {
		t.Errorf("the last list is %v", large)
	}
}

// cutShort checks that no beginning of the bytes passes for the whole.
func cutShort(t *testing.T, bytes string, decode func(*Decoder) error) {
	t.Helper()
	for n := range bytes {
		if err := decode(NewBytesDecoder([]byte(bytes[:n]))); !errors.Is(err, ErrIncomplete) {
			t.Errorf("the first %d bytes give %v", n, err)
		}
	}
}
