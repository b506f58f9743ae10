package natsin

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// A key that cannot be read is none to guess: its record would go to another partition than its sender means.
func TestKeysThatHeadersName(t *testing.T) {
	for name, test := range map[string]struct {
		header nats.Header
		given  []byte // by the subject
		want   []byte
		fails  bool
	}{
		"none":            {nats.Header{"a": {"b"}}, nil, nil, false},
		"text":            {nats.Header{keyHeader: {"k"}}, nil, []byte("k"), false},
		"empty":           {nats.Header{keyHeader: {""}}, nil, []byte{}, false},
		"base64":          {nats.Header{keyBase64Header: {"/wA="}}, nil, []byte{0xff, 0}, false},
		"the subject's":   {nats.Header{keyHeader: {"k"}}, []byte("s"), []byte("s"), false},
		"no base64":       {nats.Header{keyBase64Header: {"!!"}}, nil, nil, true},
		"cut off":         {nats.Header{keyBase64Header: {"/wA"}}, nil, nil, true},
		"two":             {nats.Header{keyHeader: {"a", "b"}}, nil, nil, true},
		"of both kinds":   {nats.Header{keyHeader: {"a"}, keyBase64Header: {"YQ=="}}, nil, nil, true},
		"bad, not needed": {nats.Header{keyBase64Header: {"!!"}}, []byte("s"), []byte("s"), true},
	} {
		out := record.Outgoing{Key: test.given}
		err := addHeaders(&out, test.header)
		if (err != nil) != test.fails || !test.fails && (string(out.Key) != string(test.want) || (out.Key == nil) != (test.want == nil)) {
			t.Errorf("%s: the key is %q, %v", name, out.Key, err)
		}
	}
}

func TestTopicsThatSubjectsName(t *testing.T) {
	for _, test := range []struct{ pattern, subject, want string }{
		{"orders", "orders", "orders"},
		{"shop.orders", "shop.orders", "shop.orders"},
		{"kafka.>", "kafka.orders", "orders"},
		{"kafka.>", "kafka.orders.created", "orders.created"},
		{"a.b.*", "a.b.orders", "orders"},
		{"a.*.c", "a.orders.c", "orders.c"},
		{"*.orders", "eu.orders", "eu.orders"},
		{"kafka.>", "kafka.orders?key=a.b", "orders?key=a.b"},
	} {
		if got := topicOf(test.pattern, test.subject); got != test.want {
			t.Errorf("%s by %s is the topic %q, want %q", test.subject, test.pattern, got, test.want)
		}
	}
}
