package payload

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// mustComeBackByHTTP checks that a record's event in binary mode can stand in headers, and makes want again where it
// goes back unchanged. A record that is an event in structured mode is the one that its value has.
func mustComeBackByHTTP(t *testing.T, r *record.Record, want record.Outgoing) {
	t.Helper()
	h := http.Header{}
	e := EventOf(r)
	size := e.AddHTTP(h)
	for name, values := range h {
		size -= len(name) + len(": \r\n") + len(values[0])
		if name != http.CanonicalHeaderKey(name) || len(values) != 1 {
			t.Errorf("header %q has %q", name, values)
		}
		forbidden := func(r rune) bool { return r < ' ' || r == 0x7f || r > '~' }
		if name != "Content-Type" && strings.ContainsFunc(values[0], forbidden) {
			t.Errorf("header %s cannot have %q", name, values[0])
		}
	}
	if size != 0 {
		t.Errorf("the size of %v is wrong by %d", h, size)
	}
	if len(h[httpSpec]) == 0 {
		return
	}
	list, events, err := OutgoingsOfHTTP(h, append([]byte(nil), r.Value...))
	if err != nil || !events || len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("%v\ngave %+v, %v (%v)\nwant %+v", h, list, events, err, want)
	}
}

func TestAnEventInBinaryModeByteForByte(t *testing.T) {
	r := order()
	r.Key = []byte(`20% "für" ever`)
	h := http.Header{}
	e := EventOf(r)
	e.AddHTTP(h)
	want := http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"orders/3/1042"}, "Ce-Source": {"kafka:orders"}, "Ce-Type": {"messaging-kafka.record"},
		"Ce-Time": {"2026-01-31T12:00:00.123Z"}, "Ce-Kafkatopic": {"orders"}, "Ce-Kafkapartition": {"3"}, "Ce-Kafkaoffset": {"1042"},
		"Ce-Kafkaattempt": {"1"}, "Ce-Kafkatimestamp": {"2026-01-31T12:00:00.123Z"}, "Ce-Kafkatombstone": {"false"},
		"Ce-Kafkakey":     {"20%25%20%22f%C3%BCr%22%20ever"},
		"Ce-Kafkaheaders": {`[{%22key%22:%22shop%22,%22value%22:%22eu%22},{%22key%22:%22shop%22,%22value%22:null},{%22key%22:%22trace%22,%22base64%22:%22/wA=%22}]`},
		"Content-Type":    {"text/plain; charset=utf-8"},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got  %v\nwant %v", h, want)
	}
}

// TestARecordThatIsAnEventGoesAsThatEvent: its attributes are those of the event, in both modes of the Kafka binding.
func TestARecordThatIsAnEventGoesAsThatEvent(t *testing.T) {
	own := []record.Header{
		header("ce_specversion", "1.0"), header("ce_id", "7"), header("ce_source", "/shop"), header("ce_type", "sold"),
		header("ce_shop", "eu"), header("content-type", "application/json"),
	}
	h := http.Header{}
	e := EventOf(&record.Record{Topic: "t", Headers: own, Value: []byte("{}"), Timestamp: noon})
	e.AddHTTP(h)
	if h.Get("ce-id") != "7" || h.Get("ce-shop") != "eu" || h.Get("ce-kafkatopic") != "t" || h.Get("ce-time") != "" ||
		h.Get("Content-Type") != "application/json" {
		t.Errorf("%v", h)
	}
	const structured = "Application/CloudEvents+JSON; charset=utf-8"
	h = http.Header{}
	own = []record.Header{header("content-type", structured)}
	e = EventOf(&record.Record{Topic: "t", Headers: own, Value: []byte(`{"id":"7"}`)})
	e.AddHTTP(h)
	if h.Get("ce-specversion") != "" || h.Get("ce-id") != "" || h.Get("ce-kafkatopic") != "t" ||
		h.Get("Content-Type") != structured || string(e.Data) != `{"id":"7"}` {
		t.Errorf("%v %s", h, e.Data)
	}
}

func TestEventsOfHTTP(t *testing.T) {
	event := func(more ...string) http.Header {
		h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	ce := []record.Header{
		header("ce_id", "7"), header("ce_source", "/s"), header("ce_specversion", "1.0"), header("ce_type", "t"),
	}
	plain := record.Outgoing{Partition: record.AnyPartition, Headers: ce, Value: []byte("x")}
	with := func(change func(*record.Outgoing)) []record.Outgoing {
		out := plain
		change(&out)
		return []record.Outgoing{out}
	}
	for name, c := range map[string]struct {
		h     http.Header
		body  string
		want  []record.Outgoing
		none  bool
		fails string
	}{
		"no event":         {h: http.Header{"Content-Type": {"text/plain"}}, body: "x", none: true},
		"half an event":    {h: http.Header{"Ce-Id": {"7"}}, body: "x", none: true},
		"binary":           {h: event(), body: "x", want: with(func(*record.Outgoing) {})},
		"binary, no body":  {h: event(), want: with(func(o *record.Outgoing) { o.Value = []byte{} })},
		"with a key":       {h: event("Ce-Kafkakey", "a%20b"), body: "x", want: with(func(o *record.Outgoing) { o.Key = []byte("a b") })},
		"quoted":           {h: event("Ce-Kafkakey", `"a \"b\""`), body: "x", want: with(func(o *record.Outgoing) { o.Key = []byte(`a "b"`) })},
		"a lone percent":   {h: event("Ce-Kafkakey", "100%"), body: "x", want: with(func(o *record.Outgoing) { o.Key = []byte("100%") })},
		"a key of bytes":   {h: event("Ce-Kafkakeybase64", "AP8="), body: "x", want: with(func(o *record.Outgoing) { o.Key = []byte{0, 0xff} })},
		"a partition":      {h: event("Ce-Kafkapartition", "3"), body: "x", want: with(func(o *record.Outgoing) { o.Partition = 3 })},
		"read elsewhere":   {h: event("Ce-Kafkapartition", "3", "Ce-Kafkaoffset", "9"), body: "x", want: with(func(*record.Outgoing) {})},
		"a tombstone":      {h: event("Ce-Kafkatombstone", "true"), want: with(func(o *record.Outgoing) { o.Value = nil })},
		"a full tombstone": {h: event("Ce-Kafkatombstone", "true"), body: "x", fails: "kafkatombstone: is true beside a value"},
		"an incomplete one": {h: http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}}, body: "x",
			fails: "is missing"},
		"another version":   {h: event("Ce-Specversion", "2.0"), body: "x", fails: "specversion: is not 1.0"},
		"twice":             {h: http.Header{"Ce-Specversion": {"1.0", "1.0"}}, body: "x", fails: "is there twice"},
		"no UTF-8":          {h: event("Ce-Subject", "%ff"), body: "x", fails: "subject: is not UTF-8"},
		"control":           {h: event("Ce-Subject", "%00"), body: "x", fails: "control character"},
		"a misspelt one":    {h: event("Ce-Kafkakye", "k"), body: "x", fails: "kafkakye: is not known"},
		"no name":           {h: event("Ce-A_b", "k"), body: "x", fails: "is no name that CloudEvents allows"},
		"data as attribute": {h: event("Ce-Data", "k"), body: "x", fails: "data: is no attribute"},
		"a type that is none": {h: event("Content-Type", "json"), body: "x",
			fails: "datacontenttype: is not a media type"},
		"structured": {h: http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}},
			body: `{"kafkakey":"k","data_base64":"eA=="}`,
			want: []record.Outgoing{{Partition: record.AnyPartition, Key: []byte("k"), Value: []byte("x")}}},
		"structured goes before": {h: event("Content-Type", EventType), body: `{"data":1}`,
			want: []record.Outgoing{{Partition: record.AnyPartition, Value: []byte("1")}}},
		"no structured one":   {h: http.Header{"Content-Type": {EventType}}, body: `x`, fails: "is not JSON"},
		"another format":      {h: http.Header{"Content-Type": {"application/cloudevents+avro"}}, body: `x`, fails: "cloudevents+avro"},
		"batched":             {h: http.Header{"Content-Type": {EventsType}}, body: ` [{"data":1},{"data":2}] `, want: []record.Outgoing{{Partition: record.AnyPartition, Value: []byte("1")}, {Partition: record.AnyPartition, Value: []byte("2")}}},
		"batched, none":       {h: http.Header{"Content-Type": {EventsType}}, body: `[]`},
		"batched, a bad one":  {h: http.Header{"Content-Type": {EventsType}}, body: `[{"data":1},{}]`, fails: "event 1: data: is missing"},
		"batched, no list":    {h: http.Header{"Content-Type": {EventsType}}, body: `{}`, fails: "no"},
		"batched, cut off":    {h: http.Header{"Content-Type": {EventsType}}, body: `[{"data":1}`, fails: "does not end"},
		"batched, and behind": {h: http.Header{"Content-Type": {EventsType}}, body: `[]{}`, fails: "behind"},
	} {
		t.Run(name, func(t *testing.T) {
			got, events, err := OutgoingsOfHTTP(c.h, []byte(c.body))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !events {
					t.Errorf("%+v, %v (%v)", got, events, err)
				}
				return
			}
			if err != nil || events == c.none || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v (%v)\nwant %+v", got, events, err, c.want)
			}
		})
	}
}

func TestAListOfEnvelopesIsReadAgain(t *testing.T) {
	for n := range 3 {
		batch := make([]*record.Record, n)
		for i := range batch {
			batch[i] = order()
		}
		got, err := DecodeEvents(AppendEvents(nil, batch))
		if err != nil || len(got) != n {
			t.Errorf("%d: %+v (%v)", n, got, err)
		}
	}
}

// FuzzOutgoingsOfHTTP checks that nothing that an application answers makes a panic or an unreadable error, and that a
// record that is read of it goes by HTTP and is read again.
func FuzzOutgoingsOfHTTP(f *testing.F) {
	f.Add("text/plain", "a%20b", "kafkakey", []byte("x"))
	f.Add(EventType, "", "", []byte(`{"data":1}`))
	f.Add(EventsType, "", "", []byte(`[{"data":1}]`))
	f.Add("", `"a \"b\""`, "kafkaheaders", []byte{0xff})
	f.Add("", "[]", "kafkaheaders", []byte{})
	f.Fuzz(func(t *testing.T, contentType, value, name string, body []byte) {
		h := http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"},
			"Content-Type": {contentType}, "Ce-" + name: {value},
		}
		list, events, err := OutgoingsOfHTTP(h, body)
		if !events {
			t.Error("an event is none")
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) || len(err.Error()) > 1000 {
				t.Errorf("error %q", err)
			}
			return
		}
		for _, out := range list {
			r := &record.Record{
				Topic: "t", Attempt: 1, Key: out.Key, Value: out.Value, Headers: out.Headers, Timestamp: out.Timestamp,
			}
			out.Partition = record.AnyPartition
			mustComeBackByHTTP(t, r, out)
		}
	})
}
