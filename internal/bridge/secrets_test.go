package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// canary is a secret of a route, which nobody may find in anything that the bridge tells.
const canary = "Zq7-canary/of.the+route=19"

// cutsOf are lengths of what stands before a secret, so that each of its bytes is the last below the limit.
func cutsOf(limit int) []int {
	list := []int{0}
	for k := range len(canary) + 60 { // with room for the words in front of the text
		list = append(list, limit-k)
	}
	return list
}

// repeating is what whoever handles a record says: so many letters, and the secret behind them.
func repeating(value []byte) string {
	n, err := strconv.Atoi(string(value))
	if err != nil {
		panic(err) // the test has produced another value
	}
	return strings.Repeat("z", n) + canary + " is what I got"
}

// leak is the longest beginning of the secret in a text, of four bytes at least; "" for none.
func leak(text string) string {
	for n := len(canary); n >= 4; n-- {
		if strings.Contains(text, canary[:n]) {
			return canary[:n]
		}
	}
	return ""
}

// answers has an application answer a request with the body that answer makes of the request's.
func answers(t *testing.T, answer func(w http.ResponseWriter, body []byte)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the bridge gave the request up
		}
		answer(w, body)
	}))
	t.Cleanup(s.Close)
	return "\nhttp_bearer_token: ${CANARY}\nurl: " + s.URL
}

// TestNoDeadLetterTellsASecret that whoever handles a record repeats as the reason why it failed, whole or cut off,
// whatever the front-end. Nor does the log, or the status.
func TestNoDeadLetterTellsASecret(t *testing.T) {
	t.Parallel()
	valueOf := func(body []byte) *record.Record {
		batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
		if err != nil || len(batch) != 1 {
			t.Errorf("a request with %d records: %v", len(batch), err)
			return &record.Record{Value: []byte("0")}
		}
		return batch[0]
	}
	verdict := func(kind uint32) func(http.ResponseWriter, []byte) {
		return func(w http.ResponseWriter, body []byte) {
			w.Header().Set("Content-Type", wit.RecordsType)
			// By hand: what writes outcomes cuts their texts itself.
			said := wit.AppendCase(wit.AppendResult(wit.AppendCount(nil, 1), false), kind)
			_, _ = w.Write(wit.AppendString(said, repeating(valueOf(body).Value)))
		}
	}
	for name, route := range map[string]func(t *testing.T) string{
		"records, rejected": func(t *testing.T) string {
			return "deliver: http-records\nbatch_max_records: 1" + answers(t, verdict(1))
		},
		"records, failed": func(t *testing.T) string {
			return "deliver: http-records\nbatch_max_records: 1" + answers(t, verdict(0))
		},
		"records as JSON": func(t *testing.T) string {
			return "deliver: http-records\nbatch_max_records: 1\nhttp_format: json" + answers(t, func(w http.ResponseWriter, body []byte) {
				var list []struct{ Value struct{ Text string } }
				if err := json.Unmarshal(body, &list); err != nil || len(list) != 1 {
					t.Errorf("a request with %d records: %v", len(list), err)
					return
				}
				w.Header().Set("Content-Type", wit.RecordsTypeJSON)
				said, _ := json.Marshal([]map[string]string{{"reject": repeating([]byte(list[0].Value.Text))}})
				_, _ = w.Write(said)
			})
		},
		"a status": func(t *testing.T) string {
			return "deliver: http-records\nbatch_max_records: 1" + answers(t, func(w http.ResponseWriter, body []byte) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, repeating(valueOf(body).Value))
			})
		},
		"messages": func(t *testing.T) string {
			return "deliver: http-messages" + answers(t, func(w http.ResponseWriter, body []byte) {
				list, err := wit.DecodeMessages(wit.NewBytesDecoder(body))
				if err != nil || len(list) != 1 {
					t.Errorf("a request with %d messages: %v", len(list), err)
					return
				}
				w.Header().Set("Content-Type", wit.MessagesType)
				_, _ = w.Write(wit.AppendString(wit.AppendResult(wit.AppendCount(nil, 1), false), "reject: "+repeating(list[0].Body)))
			})
		},
		"events": func(t *testing.T) string {
			return "deliver: http-cloudevents" + answers(t, func(w http.ResponseWriter, body []byte) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = fmt.Fprintf(w, "%q", repeating(body))
			})
		},
		"NATS, +TERM": overNATSWith(func(said string) *nats.Msg { return &nats.Msg{Data: []byte("+TERM " + said)} }),
		"NATS, -NAK":  overNATSWith(func(said string) *nats.Msg { return &nats.Msg{Data: []byte("-NAK " + said)} }),
		"an error of service": overNATSWith(func(said string) *nats.Msg {
			return &nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"500"}, "Nats-Service-Error": {said}}}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("orders", 1)
			k.Topic("dead", 1)
			client := testkit.NewClient(t, k.Brokers())
			b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndead_letter_topic: dead\nmax_attempts: 1\n"+route(t)),
				map[string]string{"CANARY": canary})
			cuts := cutsOf(4 << 10)
			for _, n := range cuts {
				client.Produce(&kgo.Record{Topic: "orders", Value: []byte(strconv.Itoa(n))})
			}
			for i, letter := range client.Read("dead", len(cuts)) {
				said := ""
				for _, h := range letter.Headers {
					if h.Key == consume.HeaderError {
						said = string(h.Value)
					}
				}
				if told := leak(said); told != "" || said == "" {
					t.Errorf("%q in the dead letter of %s, which ends with %q", told, letter.Value, said[max(0, len(said)-60):])
				}
				if i == 0 && !strings.Contains(said, "[redacted] is what I got") {
					t.Errorf("the reason is %q", said)
				}
			}
			if _, body := b.get("/links"); leak(body) != "" {
				t.Errorf("%q in the status", leak(body))
			}
			_ = b.stop()
			if told := leak(b.log.String()); told != "" {
				t.Errorf("%q in the log", told)
			}
		})
	}
}

// overNATSWith has a service of NATS answer with what answer makes of a text.
func overNATSWith(answer func(said string) *nats.Msg) func(*testing.T) string {
	return func(t *testing.T) string {
		ns := testkit.NATS(t, testkit.NATSOptions{})
		nc := ns.Connect()
		if _, err := nc.Subscribe("orders", func(m *nats.Msg) { _ = m.RespondMsg(answer(repeating(m.Data))) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return "deliver: nats-reply\nnats_user: bridge\nnats_password: ${CANARY}\nnats_url: " + ns.URL()
	}
}
