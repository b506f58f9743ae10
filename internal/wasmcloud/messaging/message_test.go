package messaging

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

var golden = []struct {
	name  string
	msg   BrokerMessage
	bytes string
}{
	{"without reply-to", BrokerMessage{Subject: "orders", Body: []byte("hi")}, "\x06orders\x02hi\x00"},
	{"with reply-to", BrokerMessage{Subject: "orders", Body: []byte("hi"), ReplyTo: new("orders.reply")},
		"\x06orders\x02hi\x01\x0corders.reply"},
	{"with an empty body", BrokerMessage{Subject: "orders", Body: []byte{}}, "\x06orders\x00\x00"},
	{"with an empty reply-to", BrokerMessage{Body: []byte{0xff, 0}, ReplyTo: new("")}, "\x00\x02\xff\x00\x01\x00"},
}

func TestBrokerMessagesHaveTheirBytes(t *testing.T) {
	for _, c := range golden {
		t.Run(c.name, func(t *testing.T) {
			got := AppendBrokerMessage(nil, c.msg)
			if string(got) != c.bytes {
				t.Errorf("encoded as % x, not % x", got, c.bytes)
			}
			if n := c.msg.size(); n < len(got) {
				t.Errorf("the bound of the size, %d, is below the size, %d", n, len(got))
			}
			msg, err := DecodeBrokerMessage(wit.NewBytesDecoder([]byte(c.bytes)))
			if err != nil || !reflect.DeepEqual(msg, c.msg) {
				t.Errorf("decoded as %+v (%v), not %+v", msg, err, c.msg)
			}
			for n := range c.bytes {
				if _, err := DecodeBrokerMessage(wit.NewBytesDecoder([]byte(c.bytes[:n]))); !errors.Is(err, wrpc.ErrIncomplete) {
					t.Errorf("the first %d bytes give %v", n, err)
				}
			}
		})
	}
}

func TestParamsOfRequestAreDecoded(t *testing.T) {
	d := wit.NewBytesDecoder([]byte("\x06orders\x02hi\xe8\x07"))
	subject, body, timeout, err := decodeRequest(d)
	if err != nil || subject != "orders" || string(body) != "hi" || timeout != time.Second {
		t.Errorf("%q %q %v (%v)", subject, body, timeout, err)
	}
	for _, c := range []struct{ bytes, mention string }{
		{"\x01", "subject"}, {"\x01a\x05", "body"}, {"\x01a\x00", "timeout-ms"}, {"\x01\xff", "subject"},
	} {
		if _, _, _, err := decodeRequest(wit.NewBytesDecoder([]byte(c.bytes))); err == nil ||
			!strings.Contains(err.Error(), c.mention) {
			t.Errorf("% x: %v does not name %s", c.bytes, err, c.mention)
		}
	}
}

func TestResultsHaveTheirBytes(t *testing.T) {
	if got := appendFailure(nil, errors.New("boom")); string(got) != "\x01\x04boom" {
		t.Errorf("err(boom) is % x", got)
	}
	if guest, err := decodeHandled(wit.NewBytesDecoder([]byte{0})); err != nil || guest != nil {
		t.Errorf("ok is %v (%v)", guest, err)
	}
	guest, err := decodeHandled(wit.NewBytesDecoder([]byte("\x01\x04boom")))
	if err != nil || guest == nil || guest.Text != "boom" || !strings.Contains(guest.Error(), "boom") {
		t.Errorf("err(boom) is %v (%v)", guest, err)
	}
	for _, bad := range []string{"", "\x02", "\x01", "\x01\x04boo", "\x01\x01\xff"} {
		if guest, err := decodeHandled(wit.NewBytesDecoder([]byte(bad))); err == nil {
			t.Errorf("% x is %v", bad, guest)
		}
	}
}

// FuzzBrokerMessage: a message survives encoding and decoding, and bytes that are decoded to a message are decoded
// to the same one after encoding it.
func FuzzBrokerMessage(f *testing.F) {
	for _, c := range golden {
		reply := ""
		if c.msg.ReplyTo != nil {
			reply = *c.msg.ReplyTo
		}
		f.Add(c.msg.Subject, c.msg.Body, reply, c.msg.ReplyTo != nil, []byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, subject string, body []byte, reply string, some bool, b []byte) {
		if utf8.ValidString(subject) && utf8.ValidString(reply) {
			msg := BrokerMessage{Subject: subject, Body: body}
			if some {
				msg.ReplyTo = &reply
			}
			checkRoundTrip(t, msg)
		}
		if msg, err := DecodeBrokerMessage(wit.NewBytesDecoder(b)); err == nil {
			checkRoundTrip(t, msg)
		}
	})
}

func checkRoundTrip(t *testing.T, msg BrokerMessage) {
	t.Helper()
	b := AppendBrokerMessage(nil, msg)
	if len(b) > msg.size() {
		t.Fatalf("%d bytes exceed the bound of %d", len(b), msg.size())
	}
	got, err := DecodeBrokerMessage(wit.NewBytesDecoder(b))
	if err != nil || got.Subject != msg.Subject || !bytes.Equal(got.Body, msg.Body) ||
		!reflect.DeepEqual(got.ReplyTo, msg.ReplyTo) {
		t.Fatalf("%+v became %+v (%v)", msg, got, err)
	}
}
