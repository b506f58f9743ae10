package httpin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
)

func TestEventsBecomeRecordsByTheKafkaBinding(t *testing.T) {
	for _, c := range []struct {
		name, media, body string
		headers           []string
		want              []string // key, value, headers in the order of their names
	}{
		{"in binary mode", "application/json", `{"a":1}`,
			[]string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/shop", "ce-type", "order", "ce-subject", "Stra%C3%9Fe%20%225%22", "ce-partitionkey", "p"},
			[]string{`"p" {"a":1} ce_id=1 ce_partitionkey=p ce_source=/shop ce_specversion=1.0 ce_subject=Straße "5" ce_type=order content-type=application/json`}},
		{"in binary mode, of no type, with a key", "", "\xff",
			[]string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/shop", "ce-type", "order", "ce-kafkakey", "k", "ce-partitionkey", "p"},
			[]string{"\"k\" \xff ce_id=1 ce_partitionkey=p ce_source=/shop ce_specversion=1.0 ce_type=order"}},
		{"in structured mode", payload.EventType + "; charset=utf-8",
			`{"specversion":"1.0","id":"1","source":"/shop","type":"order","data":{"price":1.10000000000000000001}}`, nil,
			[]string{`null {"price":1.10000000000000000001} ce_id=1 ce_source=/shop ce_specversion=1.0 ce_type=order content-type=application/json`}},
		{"in a list", payload.EventsType,
			`[{"specversion":"1.0","id":"1","source":"/s","type":"t","kafkapartition":1,"data_base64":"/w=="},{"specversion":"1.0","id":"2","source":"/s","type":"t","kafkapartition":1,"kafkakey":"k","kafkatombstone":true}]`, nil,
			[]string{"null \xff ce_id=1 ce_source=/s ce_specversion=1.0 ce_type=t", `"k" null ce_id=2 ce_source=/s ce_specversion=1.0 ce_type=t`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil, nil)
			if got := stored(t, b.post("/topics/orders", c.media, c.body, c.headers...)); len(got) != len(c.want) {
				t.Errorf("answered %v", got)
			}
			for i, r := range b.kc.Read("orders", len(c.want)) {
				value := string(r.Value)
				if r.Value == nil {
					value = "null"
				}
				var headers []string
				for _, h := range r.Headers {
					headers = append(headers, h.Key+"="+string(h.Value))
				}
				slices.Sort(headers)
				if got := fmt.Sprintf("%s %s %s", show(r.Key), value, strings.Join(headers, " ")); got != c.want[i] {
					t.Errorf("stored %q, want %q", got, c.want[i])
				}
			}
		})
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	s := new(sink)
	b := newSunk(t, s, nil)
	event := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}
	b.post("/topics/orders", "text/plain", "x", event[:6]...).want(t, 400, "type")
	b.post("/topics/orders", "text/plain", "x", append(event[2:], "ce-specversion", "0.3")...).want(t, 400, "specversion")
	b.post("/topics/orders", "text/plain", "x", append(event[:8:8], "ce-kafkapartition", "-1")...).want(t, 400, "kafkapartition")
	b.post("/topics/orders?key=1", "text/plain", "x", event...).want(t, 400, "parameters")
	b.post("/topics/a%2Fb", "text/plain", "x", event...).want(t, 400, "")
	b.post("/topics/orders", payload.EventType, `{}`).want(t, 400, "")
	b.post("/topics/orders", payload.EventType, `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`).want(t, 400, "data")
	b.post("/topics/orders", payload.EventsType, `{"specversion":"1.0"}`).want(t, 400, "list")
	b.post("/topics/orders", payload.EventsType, `[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1},{}]`).want(t, 400, "event 1")
	b.post("/topics/orders", "application/cloudevents+avro", "x").want(t, 415, payload.EventType)
	if s.count() != 0 {
		t.Error("something was published")
	}
	if a := b.post("/topics/orders", payload.EventsType, `[]`); a.status != 200 || a.body != `{"offsets":[]}` {
		t.Errorf("no events: %d %s", a.status, a.body)
	}
	const n = 1 << 20
	if a := b.post("/topics/orders", payload.EventsType, "[{}"+strings.Repeat(",{}", n)+"]"); a.status != 413 {
		t.Errorf("many events: %d %.200s", a.status, a.body)
	}
}

// Senders of events look at the status alone.
func TestTheStatusSaysWhetherEventsAreStored(t *testing.T) {
	b := newBench(t, map[string]string{"publish_timeout": "5s"}, nil)
	event := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}
	b.post("/topics/missing", "text/plain", "x", event...).want(t, 404, "missing")
	a := b.post("/topics/orders", payload.EventsType,
		`[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1},{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"kafkapartition":77}]`)
	a.want(t, 400, `"offsets":[{"partition":`)
	a.want(t, 400, `{"error_code":400,"error":"publishing to orders`)
	readDocument(t).validate(a.body, "components", "schemas", "Failure")
}
