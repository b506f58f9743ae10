package httpout

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func events(t *testing.T, o Options, mode Mode, reply func(*record.Record) *string) *Events {
	t.Helper()
	e, err := NewEvents(withDefaults(o), mode, reply, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// replyTo publishes answers at a subject.
func replyTo(subject string) func(*record.Record) *string {
	return func(*record.Record) *string { return &subject }
}

// TestEventsGoInEachMode with what they have in the envelope, and one status is the verdict.
func TestEventsGoInEachMode(t *testing.T) {
	batch := batchOf(2)
	for name, c := range map[string]struct {
		mode     Mode
		requests int
		check    func(t *testing.T, at int, r *http.Request, body []byte)
	}{
		"binary": {Binary, 2, func(t *testing.T, at int, r *http.Request, body []byte) {
			t.Helper()
			want := http.Header{}
			e := payload.EventOf(batch[at])
			e.AddHTTP(want)
			for name := range want {
				if !reflect.DeepEqual(r.Header[name], want[name]) {
					t.Errorf("%s is %q, want %q", name, r.Header[name], want[name])
				}
			}
			if string(body) != string(batch[at].Value) || r.Header.Get("Ce-Kafkaoffset") == "" {
				t.Errorf("%v %q", r.Header, body)
			}
		}},
		"structured": {Structured, 2, func(t *testing.T, at int, r *http.Request, body []byte) {
			t.Helper()
			if want := payload.Encode(batch[at]); string(body) != string(want) || r.Header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
				t.Errorf("%s\nwant %s", body, want)
			}
		}},
		"batched": {Batched, 1, func(t *testing.T, _ int, r *http.Request, body []byte) {
			t.Helper()
			var list []json.RawMessage
			if err := json.Unmarshal(body, &list); err != nil || len(list) != 2 || string(list[1]) != string(payload.Encode(batch[1])) ||
				r.Header.Get("Content-Type") != "application/cloudevents-batch+json; charset=utf-8" {
				t.Errorf("%s (%v)", body, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0 // one after another
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				c.check(t, requests, r, body)
				if r.Header.Get("Messaging-Kafka-Route") != "orders" || r.Header.Get("Messaging-Kafka-Topic") != "orders" || r.Header.Get("Messaging-Kafka-Partition") != "1" {
					t.Errorf("headers %v", r.Header)
				}
				requests++
				w.WriteHeader(http.StatusAccepted)
			})
			outcomes := events(t, Options{URL: url}, c.mode, nil).Receive(t.Context(), batch)
			if len(outcomes) != 2 || outcomes[0].Kind != record.Done || outcomes[1].Kind != record.Done || requests != c.requests {
				t.Errorf("%+v after %d requests", outcomes, requests)
			}
		})
	}
}

// TestATombstoneIsAnEventWithoutABody, with the mark that tells it from an empty value.
func TestATombstoneIsAnEventWithoutABody(t *testing.T) {
	for _, value := range [][]byte{nil, {}} {
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if mark := r.Header.Get("Ce-Kafkatombstone"); err != nil || len(body) > 0 || (mark == "true") != (value == nil) || r.ContentLength != 0 {
				t.Errorf("%q of %d bytes, tombstone %q (%v)", body, r.ContentLength, mark, err)
			}
		})
		r := &record.Record{Topic: "t", Key: []byte("k"), Value: value}
		if o := events(t, Options{URL: url}, Binary, nil).Receive(t.Context(), []*record.Record{r})[0]; o.Kind != record.Done {
			t.Errorf("%+v", o)
		}
	}
}

// TestAnAnswerBecomesARecord where there is a topic for it: an event with its attributes, another body as it is.
func TestAnAnswerBecomesARecord(t *testing.T) {
	ce := map[string]string{"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/s", "ce-type": "t"}
	ceHeaders := []record.Header{{Key: "ce_id", Value: []byte("7")}, {Key: "ce_source", Value: []byte("/s")},
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: []byte("t")}}
	typed := func(contentType string, more ...record.Header) []record.Header {
		return append(more, record.Header{Key: "content-type", Value: []byte(contentType)})
	}
	with := func(more ...string) map[string]string {
		h := map[string]string{}
		maps.Copy(h, ce)
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	const to = "answers?correlation=0a"
	out := func(key, value string, headers []record.Header) record.Outgoing {
		return record.Outgoing{Topic: to, Partition: record.AnyPartition, Key: []byte(key), Value: []byte(value), Headers: headers}
	}
	for name, c := range map[string]struct {
		status  int
		header  map[string]string
		body    string
		want    []record.Outgoing
		kind    record.Kind
		mention string
	}{
		"nothing":                       {status: 204, kind: record.Done},
		"an empty body":                 {status: 200, kind: record.Done},
		"a body":                        {status: 200, header: map[string]string{"Content-Type": "text/plain"}, body: "hello", kind: record.Done, want: []record.Outgoing{out("k", "hello", typed("text/plain"))}},
		"a body of no type":             {status: 200, header: map[string]string{"Content-Type": "what"}, body: "hello", kind: record.Done, want: []record.Outgoing{out("k", "hello", nil)}},
		"a binary event":                {status: 200, header: with("Content-Type", "application/json"), body: "{}", kind: record.Done, want: []record.Outgoing{out("k", "{}", typed("application/json", ceHeaders...))}},
		"its own key":                   {status: 200, header: with("Content-Type", "text/plain", "ce-kafkakey", "other"), body: "x", kind: record.Done, want: []record.Outgoing{out("other", "x", typed("text/plain", ceHeaders...))}},
		"a structured event":            {status: 200, header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: `{"kafkakey":"","data":[1, 2]}`, kind: record.Done, want: []record.Outgoing{out("", "[1, 2]", nil)}},
		"several events":                {status: 200, header: map[string]string{"Content-Type": "application/cloudevents-batch+json"}, body: `[{"data":1},{"data":2}]`, kind: record.Done, want: []record.Outgoing{out("k", "1", nil), out("k", "2", nil)}},
		"half an event":                 {status: 200, header: map[string]string{"ce-specversion": "1.0"}, body: "x", kind: record.Unanswered, mention: "id: is missing"},
		"no event":                      {status: 200, header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: "x", kind: record.Unanswered, mention: "is not JSON"},
		"a partition that no topic has": {status: 200, header: with("Content-Type", "text/plain", "ce-kafkapartition", "2147483648"), body: "x", kind: record.Reject, mention: "kafkapartition: is not a number from 0 to 2147483647"},
		"such a one in a list":          {status: 200, header: map[string]string{"Content-Type": "application/cloudevents-batch+json"}, body: `[{"data":1},{"data":2,"kafkapartition":-1}]`, kind: record.Reject, mention: "kafkapartition"},
		"half a partition":              {status: 200, header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: `{"data":1,"kafkapartition":1.5}`, kind: record.Reject, mention: "kafkapartition: is not an integer"},
		"a time that Kafka cannot hold": {status: 200, header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: `{"data":1,"kafkatimestamp":"1969-12-31T23:59:59Z"}`, kind: record.Reject, mention: "kafkatimestamp"},
		"too large":                     {status: 200, body: strings.Repeat("x", 1<<20+1), kind: record.Unanswered, mention: "http_max_answer"},
		"a rejected event":              {status: 422, header: with(), body: "no", kind: record.Reject, mention: "422 Unprocessable Entity: no"},
		"a failure with event":          {status: 500, header: with("Content-Type", "text/plain"), body: "no", kind: record.Retry, mention: "500 Internal Server Error: no"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil // none is guessed
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(c.status)
				if c.status != http.StatusNoContent {
					_, _ = io.WriteString(w, c.body)
				}
			})
			o := events(t, Options{URL: url}, Binary, replyTo(to)).Receive(t.Context(), batchOf(1))[0]
			if o.Kind != c.kind || !reflect.DeepEqual(o.Outputs, c.want) || c.mention != "" && !strings.Contains(o.Err.Error(), c.mention) {
				t.Errorf("%v (%v)\n%+v, want\n%+v", o.Kind, o.Err, o.Outputs, c.want)
			}
			if c.status >= 300 {
				return
			}
			for mode, e := range map[string]*Events{
				"nobody wants answers": events(t, Options{URL: url}, Binary, nil), "this record wants none": events(t, Options{URL: url}, Structured, func(*record.Record) *string { return nil }),
				"batched": events(t, Options{URL: url}, Batched, replyTo(to)),
			} {
				if o := e.Receive(t.Context(), batchOf(1))[0]; o.Kind != record.Done || o.Outputs != nil {
					t.Errorf("%s: %+v", mode, o)
				}
			}
		})
	}
}

// TestAnEventWhoseHeadersNoServerTakesIsRejected, and goes in structured mode.
func TestAnEventWhoseHeadersNoServerTakesIsRejected(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := batchOf(1)
	r[0].Headers = []record.Header{{Key: "a", Value: []byte(strings.Repeat("x", maxEventHeader))}}
	if o := events(t, Options{URL: url}, Binary, nil).Receive(t.Context(), r)[0]; o.Kind != record.Reject || !strings.Contains(o.Err.Error(), "http_mode=structured") {
		t.Errorf("%+v", o)
	}
	if o := events(t, Options{URL: url}, Structured, nil).Receive(t.Context(), r)[0]; o.Kind != record.Done {
		t.Errorf("%+v", o)
	}
}
