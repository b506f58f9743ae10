package natsout

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// TestAMessageBecomesItsRecordAgain, through the wire of NATS: null and empty are told apart, and headers that NATS
// cannot hold are as they were.
func TestAMessageBecomesItsRecordAgain(t *testing.T) {
	text := func(list ...string) []record.Header {
		var headers []record.Header
		for i := 0; i < len(list); i += 2 {
			headers = append(headers, record.Header{Key: list[i], Value: []byte(list[i+1])})
		}
		return headers
	}
	for name, r := range map[string]record.Record{
		"plain":                 {Key: []byte("k"), Value: []byte("v"), Headers: text("a", "1", "b", "2")},
		"nothing":               {},
		"empty":                 {Key: []byte{}, Value: []byte{}, Headers: text("a", "")},
		"bytes":                 {Key: []byte{0xff, 0}, Value: []byte{0xfe, 0}, Headers: []record.Header{{Key: "b", Value: []byte{0x80}}, {Key: "a"}}},
		"names of NATS":         {Value: []byte("v"), Headers: text("Nats-Rollup", "all", "Status", "503", "Messaging-Kafka-Topic", "others")},
		"names twice":           {Value: []byte("v"), Headers: text("a", "2", "a", "1")},
		"names that NATS lacks": {Value: []byte("v"), Headers: text("ein Name", "1", "größe", "2", "", "3")},
		"spaces":                {Key: []byte(" k "), Value: []byte(" v\r\n"), Headers: text("a", " 1 ", "b", "two\r\nlines: x")},
	} {
		for _, form := range []settings.Payload{settings.PayloadRaw, settings.PayloadEnvelope} {
			t.Run(fmt.Sprintf("%s, %s", name, form), func(t *testing.T) {
				r.Topic, r.Partition, r.Offset, r.Timestamp = "shop.orders", 7, 1<<40, time.UnixMilli(1_700_000_000_123)
				s := &sender{Options{Route: "orders"}}
				m := &nats.Msg{Subject: "orders", Data: r.Value, Header: s.header(&r, nil)}
				if form == settings.PayloadEnvelope {
					m.Data = payload.Encode(&r)
				}
				m.Header.Set(nats.MsgIdHdr, "id")
				got, err := recordOf(overTheWire(t, m), form)
				if err != nil {
					t.Fatal(err)
				}
				if got.Topic != r.Topic || got.Partition != r.Partition || got.Offset != r.Offset || !got.Timestamp.Equal(r.Timestamp) {
					t.Errorf("its place is %+v", got)
				}
				if same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }; !same(got.Key, r.Key) || !same(got.Value, r.Value) {
					t.Errorf("it is %q %q, want %q %q", got.Key, got.Value, r.Key, r.Value)
				}
				// Where NATS holds them they come in the order of their names.
				want := slices.Clone(r.Headers)
				if m.Header.Get(headersHeader) == "" && form == settings.PayloadRaw {
					slices.SortStableFunc(want, func(a, b record.Header) int { return cmp.Compare(a.Key, b.Key) })
				}
				if fmt.Sprintf("%#v", got.Headers) != fmt.Sprintf("%#v", want) {
					t.Errorf("its headers are\n%#v, want\n%#v", got.Headers, want)
				}
			})
		}
	}
}

// overTheWire is a message with the headers as a stream keeps them.
func overTheWire(t *testing.T, m *nats.Msg) *nats.Msg {
	t.Helper()
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	for name, values := range m.Header {
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("\r\n")
	header, err := nats.DecodeHeadersMsg([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: header}
}

// TestWhatSaysNotWhichRecordItIsIsNone.
func TestWhatSaysNotWhichRecordItIsIsNone(t *testing.T) {
	whole := nats.Header{topicHeader: {"t"}, partitionHeader: {"1"}, offsetHeader: {"2"}, timestampHeader: {"3"}}
	if _, err := recordOf(&nats.Msg{Header: whole}, settings.PayloadRaw); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		partitionHeader: "one", offsetHeader: "", timestampHeader: "9999999999999999999999", keyBase64Header: "?", headersHeader: "[",
	} {
		h := maps.Clone(whole)
		h.Set(name, value)
		if r, err := recordOf(&nats.Msg{Header: h}, settings.PayloadRaw); err == nil {
			t.Errorf("with %s %q it is %+v", name, value, r)
		}
	}
}
