package httpin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// FuzzRequest has the server answer whatever a caller sends: nothing is published but to topics as Kafka allows them,
// in whole lists or not at all, the answer is one of those that are documented, and nothing is held afterwards.
func FuzzRequest(f *testing.F) {
	const event = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}`
	for _, seed := range []struct{ path, media, header, body string }{
		{"/topics/orders", mediaJSON, "", `{"records":[{"key":1,"value":{"a":[1.50]},"partition":1,"headers":[{"key":"a","value":"aGk="}],"timestamp":5}]}`},
		{"/topics/orders", mediaBinary, "", `{"records":[{"key":"","value":"/w=="},{"value":null}]}`},
		{"/topics/orders", mediaText, "", `{"records":[{"value":"a","headers":[{"name":"n","text":"t"},{"key":"k","value":null}]}]}`},
		{"/topics/orders?key=a%00&partition=2&timestamp=9", "text/plain", "", "x"},
		{"/topics/a%2Fb", "application/octet-stream", "", "\xff"},
		{"/topics/orders", payload.EventType, "", event},
		{"/topics/orders", payload.EventsType, "", "[" + event + "," + event + "]"},
		{"/topics/orders", "image/png", "1.0", "\x89PNG"},
		{"/v1/records/send", wit.RecordsType, "", "\x01\x01t\x00\x01\x01k\x02\x01v\x01\x01h\x00\x01\x05"},
		{"/v1/records/send", wit.RecordsTypeJSON, "", `[{"topic":"t","key":{"text":"k"},"value":{"base64":"/w=="},"headers":[{"name":"h","value":null}]}]`},
		{"/topics/orders", mediaJSON, "", `{"records":[{"value":1,"Value":{"a":1,"a":2}}],"records":[]}`},
		{"/v1/records/send", wit.RecordsTypeJSON, "", `[{"topic":"t","topic":"u"}]`},
		{"/v1/records/request?timeout-ms=5", wit.RecordsTypeJSON, "", `{"topic":"t","value":null}`},
		{"/v1/messages/publish", wit.MessagesType, "", "\x01t\x01b\x01\x01r"},
		{"/v1/messages/request", wit.MessagesTypeJSON, "", `{"subject":"t?key=k","body":"aGk="}`},
	} {
		f.Add(seed.path, seed.media, seed.header, []byte(seed.body))
	}
	topics, budget := new(sink), memory.New(8<<20)
	s, err := newServer(Options{
		Address: "0", Memory: budget, MaxBody: 1 << 20, Routes: func(string) (Sender, bool) { return topics, true },
		Callers: []Caller{{Name: "shop", Tokens: secret(ordersToken), Routes: []string{"orders"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	answers := []int{200, 400, 404, 405, 411, 413, 415, 500}
	f.Fuzz(func(t *testing.T, path, media, header string, body []byte) {
		request, err := http.NewRequest(http.MethodPost, "http://127.0.0.1"+path, bytes.NewReader(body))
		if err != nil || len(path) == 0 || path[0] != '/' {
			return
		}
		request.Header.Set("Authorization", "Bearer "+ordersToken)
		request.Header.Set("Content-Type", media)
		if header != "" {
			for _, name := range []string{eventHeader, "Ce-Id", "Ce-Source", "Ce-Type"} {
				request.Header.Set(name, header)
			}
		}
		topics.came = nil
		w := httptest.NewRecorder()
		s.answer(w, request)
		if !slices.Contains(answers, w.Code) {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
		if w.Code != 200 {
			var f failed
			if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || f.ErrorCode != w.Code || f.Message == "" {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if len(topics.came) > 0 {
				t.Errorf("answered %d and published %v", w.Code, topics.came)
			}
		}
		for _, r := range topics.came {
			if at, topic, ok := find(request); ok && at == topicEndpoint && (r.Topic != topic || !record.IsTopicName(r.Topic)) {
				t.Errorf("published to %q by %s", r.Topic, path)
			}
		}
		if used := budget.Status().Used; used != 0 {
			t.Errorf("%d bytes are held", used)
		}
	})
}

// FuzzEmbeddedJSON: a value keeps what it means, number by number, and what is equal stays equal.
func FuzzEmbeddedJSON(f *testing.F) {
	for _, text := range []string{`1.10`, `{"a" : [1e400, -0, 12345678901234567890]}`, `"\u00fc <b>"`, `null`, ` true `, `[`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		once, err := embeddedJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := embeddedJSON(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q, and then %q (%v)", text, once, twice, err)
		}
		if got, want := tokens(t, once), tokens(t, text); !slices.Equal(got, want) {
			t.Errorf("%q becomes %q", text, once)
		}
	})
}

// tokens are the parts of JSON, numbers with all their digits.
func tokens(t *testing.T, text []byte) []json.Token {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var list []json.Token
	for {
		token, err := d.Token()
		if err != nil {
			return list
		}
		list = append(list, token)
	}
}
