package payload

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

var noon = time.UnixMilli(1769860800123).UTC() // 2026-01-31T12:00:00.123Z

// order is the record of docs/envelope.md.
func order() *record.Record {
	return &record.Record{
		Topic: "orders", Partition: 3, Offset: 1042, Timestamp: noon, Attempt: 1,
		Key: []byte("customer-7"), Value: []byte(`{"total": 41.970}`),
		Headers: []record.Header{{Key: "shop", Value: []byte("eu")}, {Key: "shop", Value: nil},
			{Key: "trace", Value: []byte{0xff, 0}}},
	}
}

func header(key, value string) record.Header {
	return record.Header{Key: key, Value: []byte(value)}
}

func TestAnEnvelopeByteForByte(t *testing.T) {
	const want = `{"specversion":"1.0","id":"orders/3/1042","source":"kafka:orders","type":"messaging-kafka.record",` +
		`"time":"2026-01-31T12:00:00.123Z","kafkatopic":"orders","kafkapartition":3,"kafkaoffset":"1042","kafkaattempt":1,` +
		`"kafkatimestamp":"2026-01-31T12:00:00.123Z","kafkakey":"customer-7",` +
		`"kafkaheaders":"[{\"key\":\"shop\",\"value\":\"eu\"},{\"key\":\"shop\",\"value\":null},{\"key\":\"trace\",\"base64\":\"/wA=\"}]",` +
		`"kafkatombstone":false,"datacontenttype":"text/plain; charset=utf-8","data":"{\"total\": 41.970}"}`
	if got := string(Encode(order())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheExampleOfTheDocumentationIsAnEnvelope(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "envelope.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "```jsonc\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("docs/envelope.md has no example")
	}
	var got bytes.Buffer
	if err := json.Compact(&got, regexp.MustCompile(` +//.*`).ReplaceAll([]byte(example), nil)); err != nil {
		t.Fatal(err)
	}
	if want := string(Encode(order())); got.String() != want {
		t.Errorf("the example is  %s\nthe envelope is %s", &got, want)
	}
}

// members reads an envelope as any JSON library would.
func members(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a value may be a number that no float holds
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return m
}

func TestHowARecordStandsInItsEnvelope(t *testing.T) {
	const none = "\x00none"
	for sentence, c := range map[string]struct {
		change func(*record.Record)
		want   map[string]any
	}{
		"a tombstone has a mark and no data": {func(r *record.Record) { r.Value = nil },
			map[string]any{"kafkatombstone": true, "data": none, "data_base64": none, "datacontenttype": none}},
		"an empty value is an empty string": {func(r *record.Record) { r.Value = []byte{} },
			map[string]any{"kafkatombstone": false, "data": "", "datacontenttype": textType}},
		"bytes that are no text are base64": {func(r *record.Record) { r.Value = []byte{0xff} },
			map[string]any{"data": none, "data_base64": "/w==", "datacontenttype": binaryType}},
		"control characters in a value are text": {func(r *record.Record) { r.Value = []byte("a\x00\u007f\ufffe") },
			map[string]any{"data": "a\x00\u007f\ufffe"}},
		"JSON that is said to be JSON is JSON": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/json")}, []byte(`{"a":[1]}`)
		}, map[string]any{"datacontenttype": "application/json", "data": map[string]any{"a": []any{json.Number("1")}}}},
		"JSON null that is said to be JSON is no tombstone": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/json")}, []byte(`null`)
		}, map[string]any{"data": nil, "kafkatombstone": false}},
		"what is said to be JSON and is not is base64": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/json")}, []byte(`{`)
		}, map[string]any{"datacontenttype": "application/json", "data": none, "data_base64": "ew=="}},
		"JSON with a line break at its end is base64, which keeps it": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/json")}, []byte("1\n")
		}, map[string]any{"data": none, "data_base64": "MQo="}},
		"JSON that nests too deeply is base64": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/json")},
				[]byte(strings.Repeat("[", maxNesting+1)+strings.Repeat("]", maxNesting+1))
		}, map[string]any{"data": none}},
		"text of another type is a string": {func(r *record.Record) { r.Headers = []record.Header{header("content-type", "text/xml")} },
			map[string]any{"datacontenttype": "text/xml", "data": `{"total": 41.970}`}},
		"text in another charset is base64": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "text/xml; charset=ISO-8859-1")}, []byte("ü")
		}, map[string]any{"datacontenttype": "text/xml; charset=ISO-8859-1", "data": none, "data_base64": "w7w="}},
		"a content type that is none says nothing": {func(r *record.Record) { r.Headers = []record.Header{header("content-type", "json")} },
			map[string]any{"datacontenttype": textType}},
		"a null content type says nothing": {func(r *record.Record) { r.Headers = []record.Header{{Key: "content-type"}} },
			map[string]any{"datacontenttype": textType}},
		"no key":                          {func(r *record.Record) { r.Key = nil }, map[string]any{"kafkakey": none, "kafkakeybase64": none}},
		"an empty key":                    {func(r *record.Record) { r.Key = []byte{} }, map[string]any{"kafkakey": "", "kafkakeybase64": none}},
		"a key of bytes":                  {func(r *record.Record) { r.Key = []byte{0, 0xff} }, map[string]any{"kafkakey": none, "kafkakeybase64": "AP8="}},
		"a key with a line break":         {func(r *record.Record) { r.Key = []byte("a\n") }, map[string]any{"kafkakey": none, "kafkakeybase64": "YQo="}},
		"a key with no character at all":  {func(r *record.Record) { r.Key = []byte("\U0001ffff") }, map[string]any{"kafkakey": none, "kafkakeybase64": "8J+/vw=="}},
		"no timestamp":                    {func(r *record.Record) { r.Timestamp = time.UnixMilli(-1) }, map[string]any{"time": none, "kafkatimestamp": none}},
		"a timestamp that no text can be": {func(r *record.Record) { r.Timestamp = time.UnixMilli(1 << 60) }, map[string]any{"time": none, "kafkatimestamp": none}},
		"no headers":                      {func(r *record.Record) { r.Headers = nil }, map[string]any{"kafkaheaders": "[]"}},
		"the largest offset":              {func(r *record.Record) { r.Offset = 1<<63 - 1 }, map[string]any{"kafkaoffset": "9223372036854775807", "id": "orders/3/9223372036854775807"}},
		"a later attempt":                 {func(r *record.Record) { r.Attempt = 3 }, map[string]any{"kafkaattempt": json.Number("3")}},
		"an event in binary mode": {func(r *record.Record) {
			r.Headers = []record.Header{header("ce_id", "7"), header("ce_specversion", "1.0"),
				header("ce_type", "com.example.x"), header("ce_source", "/shop"),
				header("ce_time", "2020-01-01T00:00:00Z"), header("ce_myext", "5"), header("ce_kafkakey", "not the key"),
				header("ce_Upper", "x"), header("other", "y"),
				header("content-type", "application/vnd.x+json")}
		}, map[string]any{"id": "7", "type": "com.example.x", "source": "/shop", "time": "2020-01-01T00:00:00Z", "myext": "5",
			"kafkakey":       "customer-7",
			"kafkatimestamp": "2026-01-31T12:00:00.123Z", "Upper": none, "other": none,
			"datacontenttype": "application/vnd.x+json", "data": map[string]any{"total": json.Number("41.970")}}},
		"an event without a type is none": {func(r *record.Record) {
			r.Headers = []record.Header{header("ce_id", "7"), header("ce_specversion", "1.0"), header("ce_source", "/shop")}
		}, map[string]any{"id": "orders/3/1042", "type": Type}},
		"an event with an attribute twice is none": {func(r *record.Record) {
			r.Headers = []record.Header{header("ce_id", "7"), header("ce_id", "8"), header("ce_type", "x"),
				header("ce_specversion", "1.0"), header("ce_source", "/shop")}
		}, map[string]any{"id": "orders/3/1042"}},
		"an event with a bad time is none": {func(r *record.Record) {
			r.Headers = []record.Header{header("ce_id", "7"), header("ce_time", "noon"), header("ce_type", "x"),
				header("ce_specversion", "1.0"), header("ce_source", "/shop")}
		}, map[string]any{"id": "orders/3/1042"}},
		"an event of another version is none": {func(r *record.Record) {
			r.Headers = []record.Header{header("ce_id", "7"), header("ce_type", "x"), header("ce_specversion", "0.3"),
				header("ce_source", "/shop")}
		}, map[string]any{"id": "orders/3/1042"}},
		"an event in structured mode is data": {func(r *record.Record) {
			r.Headers, r.Value = []record.Header{header("content-type", "application/cloudevents+json; charset=UTF-8")},
				[]byte(`{"specversion":"1.0","id":"7"}`)
		}, map[string]any{"id": "orders/3/1042", "data": map[string]any{"specversion": "1.0", "id": "7"},
			"datacontenttype": "application/cloudevents+json; charset=UTF-8"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := order()
			c.change(r)
			b := Encode(r)
			got := members(t, b)
			for name, want := range c.want {
				v, has := got[name]
				if want == none {
					if has {
						t.Errorf("%s is %v, want none", name, v)
					}
				} else if !has || !reflect.DeepEqual(v, want) {
					t.Errorf("%s is %#v, want %#v", name, v, want)
				}
			}
			mustBeEvent(t, b)
			mustComeBack(t, r, b)
		})
	}
}

// mustBeEvent holds an envelope to CloudEvents 1.0 and its JSON format, told from the specification and not by the code
// under test.
func mustBeEvent(t *testing.T, b []byte) {
	t.Helper()
	if !utf8.Valid(b) {
		t.Error("an envelope is not UTF-8")
	}
	m := members(t, b)
	name := regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	forbidden := regexp.MustCompile("[\x00-\x1f\x7f-\u009f\ufdd0-\ufdef\ufffe\uffff\U0001fffe\U0001ffff]")
	for key, value := range m {
		if key == "data" || key == "data_base64" {
			continue
		}
		if !name.MatchString(key) {
			t.Errorf("%q is no name of an attribute", key)
		}
		switch v := value.(type) {
		case string:
			if forbidden.MatchString(v) {
				t.Errorf("the attribute %s holds what no String may: %q", key, v)
			}
		case bool:
		case json.Number:
			if _, err := strconv.ParseInt(v.String(), 10, 32); err != nil {
				t.Errorf("the attribute %s is no Integer: %v", key, v)
			}
		default:
			t.Errorf("the attribute %s is a %T", key, value)
		}
	}
	for _, key := range []string{"id", "source", "type"} {
		if v, _ := m[key].(string); v == "" {
			t.Errorf("%s is %v", key, m[key])
		}
	}
	if m["specversion"] != "1.0" {
		t.Errorf("specversion is %v", m["specversion"])
	}
	if _, err := url.Parse(m["source"].(string)); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"time", "kafkatimestamp"} {
		if v, has := m[key]; has {
			if _, err := time.Parse(time.RFC3339, v.(string)); err != nil {
				t.Error(err)
			}
		}
	}
	data, hasData := m["data"]
	_, hasBase64 := m["data_base64"]
	if hasData && hasBase64 {
		t.Error("data and data_base64")
	}
	kind, isJSON := dataType(m)
	if _, isText := data.(string); hasData && !isJSON && !isText {
		t.Errorf("data of type %s is a %T", kind, data)
	}
	if hasData && kind == "" {
		t.Error("data without a type is JSON, which the value need not be")
	}
}

// dataType is the media type of an envelope's data, and whether it is one of JSON.
func dataType(m map[string]any) (kind string, isJSON bool) {
	kind, _ = m["datacontenttype"].(string)
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	kind = strings.TrimSpace(kind)
	return kind, strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json")
}

// mustComeBack checks that an envelope that goes back unchanged makes the record again, and so does one that a JSON
// library has read and written, unless the value itself stands in it as JSON.
func mustComeBack(t *testing.T, r *record.Record, b []byte) {
	t.Helper()
	want := record.Outgoing{Partition: record.AnyPartition, Key: r.Key, Value: r.Value, Headers: r.Headers}
	if r.Timestamp.UnixMilli() >= 0 && r.Timestamp.UTC().Year() <= 9999 {
		want.Timestamp = r.Timestamp.UTC()
	}
	if len(want.Headers) == 0 {
		want.Headers = nil
	}
	got, err := Decode(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\ngave %+v (%v)\nwant %+v", b, got, err, want)
	}
	m := members(t, b)
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err = Decode(again)
	_, hasData := m["data"]
	if _, isJSON := dataType(m); isJSON && hasData {
		got.Value = want.Value
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\ngave %+v (%v)\nwant %+v", again, got, err, want)
	}
	mustComeBackByHTTP(t, r, want)
}

// TestEveryRecordComesBack draws records from all that Kafka can hold, with the special cases far more often than
// chance has them.
func TestEveryRecordComesBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	specials := []string{"", "a", "\x00", "\xff", "\xed\xa0\x80", "ü", "\u2028", "\ufffd", "\ufeff{}", "\U0001f600",
		"\U0010ffff", "null", "true", "1.50", "1e999", ` {"a":1}`,
		`{"a":1,"a":2}`, `"\ud800"`, `"\ud83d\ude00"`, `{"b": [1, 2.0], "c":"</script>"}`, "\\u0000\"", "application/json",
		"text/plain", "\r\n\t", strings.Repeat("x", 5_000)}
	draw := func() []byte {
		switch rng.IntN(4) {
		case 0:
			return nil
		case 1:
			b := make([]byte, rng.IntN(40))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			return b
		case 2:
			b := []byte{}
			for range rng.IntN(10) {
				b = utf8.AppendRune(b, rune(rng.IntN(utf8.MaxRune+1)))
			}
			return b
		default:
			return []byte(specials[rng.IntN(len(specials))])
		}
	}
	names := []string{"content-type", "ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "ce_x",
		"traceparent", ""}
	for range 700 {
		r := &record.Record{Topic: "t", Partition: rng.Int32(), Offset: rng.Int64(), Attempt: 1 + rng.IntN(1000),
			Key: draw(), Value: draw(),
			Timestamp: time.UnixMilli(rng.Int64N(1<<48) - 1)}
		for range rng.IntN(8) {
			h := record.Header{Key: names[rng.IntN(len(names))], Value: draw()}
			if rng.IntN(4) == 0 {
				h.Key = string(draw())
			}
			r.Headers = append(r.Headers, h)
		}
		if rng.IntN(3) == 0 {
			r.Headers = append(r.Headers, header("content-type", "application/json"))
		}
		if rng.IntN(3) == 0 {
			r.Headers = append(r.Headers, header("ce_id", "1"), header("ce_source", "s"), header("ce_type", "t"),
				header("ce_specversion", "1.0"))
			rng.Shuffle(len(r.Headers), func(i, j int) { r.Headers[i], r.Headers[j] = r.Headers[j], r.Headers[i] })
		}
		b := Encode(r)
		mustBeEvent(t, b)
		mustComeBack(t, r, b)
		if t.Failed() {
			t.Fatalf("for %+v", r)
		}
	}
}

func TestWhatAComponentMayPublish(t *testing.T) {
	out := func(change func(*record.Outgoing)) record.Outgoing {
		o := record.Outgoing{Partition: record.AnyPartition}
		change(&o)
		return o
	}
	for sentence, c := range map[string]struct {
		body string
		want record.Outgoing
	}{
		"text and a key": {`{"kafkakey":"k","datacontenttype":"text/plain","data":"v"}`,
			out(func(o *record.Outgoing) { o.Key, o.Value = []byte("k"), []byte("v") })},
		"JSON, which needs no type, as it is written": {` {"data" : {"a" : 1.50} } `,
			out(func(o *record.Outgoing) { o.Value = []byte(`{"a" : 1.50}`) })},
		"a string without a type is JSON, quotes and all": {`{"data":"v"}`,
			out(func(o *record.Outgoing) { o.Value = []byte(`"v"`) })},
		"null without a type is JSON": {`{"data":null}`,
			out(func(o *record.Outgoing) { o.Value = []byte(`null`) })},
		"bytes": {`{"data_base64":"/w==","kafkakeybase64":""}`,
			out(func(o *record.Outgoing) { o.Value, o.Key = []byte{0xff}, []byte{} })},
		"nulls of a language that writes all fields": {`{"data":null,"data_base64":"","kafkakey":null,"kafkaheaders":null,"kafkapartition":null,"kafkatombstone":null,"id":null}`,
			out(func(o *record.Outgoing) { o.Value = []byte{} })},
		"a tombstone": {`{"kafkakey":"k","kafkatombstone":true,"data":null}`,
			out(func(o *record.Outgoing) { o.Key = []byte("k") })},
		"headers": {`{"data":1,"kafkaheaders":"[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"a\",\"value\":null},{\"keybase64\":\"/w==\",\"base64\":\"\"}]"}`,
			out(func(o *record.Outgoing) {
				o.Value, o.Headers = []byte("1"), []record.Header{{Key: "a", Value: []byte("1")}, {Key: "a"},
					{Key: "\xff", Value: []byte{}}}
			})},
		"a partition": {`{"data":1,"kafkapartition":7}`, out(func(o *record.Outgoing) { o.Value, o.Partition = []byte("1"), 7 })},
		"the partition of a record that was read is where it was read": {`{"data":1,"kafkapartition":7,"kafkaoffset":"3"}`,
			out(func(o *record.Outgoing) { o.Value = []byte("1") })},
		"a timestamp of any zone, in Kafka's milliseconds": {`{"data":1,"kafkatimestamp":"2026-01-31T13:00:00.1239+01:00"}`,
			out(func(o *record.Outgoing) { o.Value, o.Timestamp = []byte("1"), noon })},
		"attributes in the form of strings": {`{"data":1,"kafkapartition":"7","kafkatombstone":"false"}`,
			out(func(o *record.Outgoing) { o.Value, o.Partition = []byte("1"), 7 })},
		"an event becomes headers": {`{"specversion":"1.0","id":"7","source":"/s","type":"t","time":"2020-01-01T00:00:00Z","n":5,"b":true,"data":{}}`,
			out(func(o *record.Outgoing) {
				o.Value = []byte("{}")
				o.Headers = []record.Header{header("ce_specversion", "1.0"), header("ce_id", "7"), header("ce_source", "/s"),
					header("ce_type", "t"),
					header("ce_time", "2020-01-01T00:00:00Z"), header("ce_n", "5"), header("ce_b", "true"), header("content-type",
						"application/json")}
			})},
		"an event with headers of its own has those": {`{"specversion":"1.0","id":"7","source":"/s","type":"t","kafkaheaders":"[]","data":1}`,
			out(func(o *record.Outgoing) { o.Value = []byte("1") })},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := Decode([]byte(c.body))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v (%v)\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestAPublishedEventIsReadAsTheSameEvent(t *testing.T) {
	const body = `{"specversion":"1.0","id":"7","source":"/s","type":"t","subject":"x","dataschema":"urn:x","datacontenttype":"text/xml","data":"<a/>"}`
	out, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got := members(t, Encode(&record.Record{Topic: "t", Value: out.Value, Headers: out.Headers}))
	for name, want := range members(t, []byte(body)) {
		if got[name] != want {
			t.Errorf("%s became %v, want %v", name, got[name], want)
		}
	}
}

func TestWhatIsNoEnvelopeIsRefusedByName(t *testing.T) {
	for sentence, c := range map[string]struct{ body, want string }{
		"nothing":                             {"", "is empty"},
		"spaces":                              {" \n", "is empty"},
		"text":                                {"hello", "is not JSON: invalid character"},
		"two objects":                         {`{"data":1}{}`, "is not JSON: "},
		"a list":                              {`[]`, "is not a JSON object"},
		"bytes that are no UTF-8":             {"{\"data\":\"\xff\"}", "is not UTF-8"},
		"no value":                            {`{"kafkakey":"k"}`, "data: is missing"},
		"no value and a mark that says false": {`{"kafkatombstone":false}`, "kafkatombstone: true"},
		"null for text":                       {`{"datacontenttype":"text/plain","data":null}`, "data: is missing"},
		"two values":                          {`{"data":1,"data_base64":"AA=="}`, "data_base64: stands beside data"},
		"a tombstone with a value":            {`{"kafkatombstone":true,"data":1}`, "kafkatombstone: is true beside a value"},
		"a tombstone with bytes":              {`{"kafkatombstone":true,"data_base64":""}`, "kafkatombstone: is true beside a value"},
		"a mark that is no boolean":           {`{"kafkatombstone":1}`, "kafkatombstone: is not true or false"},
		"a member twice":                      {`{"kafkakey":"a","kafkakey":"b","data":1}`, "kafkakey: is there twice"},
		"two keys":                            {`{"kafkakey":"a","kafkakeybase64":"AA==","data":1}`, "kafkakeybase64: stands beside"},
		"a key that is an object":             {`{"kafkakey":{},"data":1}`, "kafkakey: is not a string"},
		"half a surrogate pair":               {`{"kafkakey":"\ud800","data":1}`, "kafkakey: has half a surrogate pair"},
		"the other half":                      {`{"datacontenttype":"text/plain","data":"\udc00"}`, "data: has half a surrogate pair"},
		"two first halves":                    {`{"datacontenttype":"text/plain","data":"\ud800\ud800"}`, "data: has half a surrogate pair"},
		"a member that is misspelt":           {`{"kafkakye":"k","data":1}`, "kafkakye: is not known; the names"},
		"a member in capitals":                {`{"Data":1}`, `"Data": is no name`},
		"a member of a long name":             {`{"` + strings.Repeat("ü", 1000) + `":1}`, "is no name"},
		"another's name for the key":          {`{"key":"k","data":1}`, "specversion: is missing; key makes the envelope an event"},
		"an event without an id":              {`{"specversion":"1.0","type":"t","source":"s","data":1}`, "id: is missing"},
		"an event of another version":         {`{"specversion":"0.3","data":1}`, "specversion: is not 1.0"},
		"an event with an empty id":           {`{"id":"","data":1}`, "id: is empty"},
		"an event with a bad source":          {`{"source":"%","data":1}`, "source: is not a URI"},
		"an event with a bad time":            {`{"time":"noon","data":1}`, "time: is not a time"},
		"an attribute that is an object":      {`{"x":{},"data":1}`, "x: is not a string, an integer or a boolean"},
		"an attribute that is a fraction":     {`{"x":1.5,"data":1}`, "x: is not an integer"},
		"an attribute with a line break":      {`{"x":"\n","data":1}`, "x: holds a control character"},
		"base64 without padding":              {`{"data_base64":"/w"}`, "data_base64: is not base64"},
		"base64 with a line break":            {`{"data_base64":"/w=\n="}`, "data_base64: is not base64"},
		"base64 with bits to spare":           {`{"data_base64":"/x=="}`, "data_base64: is not base64"},
		"base64 that is no string":            {`{"data_base64":7}`, "data_base64: is not a string"},
		"text that is no string":              {`{"datacontenttype":"text/plain","data":7}`, "data: is not a string; datacontenttype says"},
		"text in another charset":             {`{"datacontenttype":"text/plain; charset=latin1","data":"ü"}`, "give its bytes as data_base64"},
		"a type that is none":                 {`{"datacontenttype":"text","data":1}`, "datacontenttype: is not a media type"},
		"a negative partition":                {`{"kafkapartition":-1,"data":1}`, "kafkapartition: is not a number"},
		"too large a partition":               {`{"kafkapartition":2147483648,"data":1}`, "kafkapartition: is not a number"},
		"a timestamp in milliseconds":         {`{"kafkatimestamp":1769860800123,"data":1}`, "kafkatimestamp: is not a time since 1970"},
		"a timestamp before Kafka's":          {`{"kafkatimestamp":"1969-12-31T23:59:59Z","data":1}`, "kafkatimestamp: is not a time since 1970"},
		"headers outside of a string":         {`{"kafkaheaders":[],"data":1}`, "kafkaheaders: is not a string"},
		"headers that are no list":            {`{"kafkaheaders":"{}","data":1}`, "kafkaheaders: is not a JSON list"},
		"headers that are null in a string":   {`{"kafkaheaders":"null","data":1}`, "kafkaheaders: is not a JSON list"},
		"headers that are cut off":            {`{"kafkaheaders":"[","data":1}`, "kafkaheaders: is not a JSON list"},
		"a header that is no object":          {`{"kafkaheaders":"[1]","data":1}`, "kafkaheaders: header 0: is not a JSON object"},
		"a header without a key":              {`{"kafkaheaders":"[{\"value\":\"\"}]","data":1}`, "header 0: has not exactly one of key"},
		"a header without a value":            {`{"kafkaheaders":"[{\"key\":\"a\",\"value\":\"\"},{\"key\":\"b\"}]","data":1}`, "header 1: has not exactly one of value"},
		"a header with two values":            {`{"kafkaheaders":"[{\"key\":\"a\",\"value\":\"\",\"base64\":\"\"}]","data":1}`, "header 0: has not exactly one of value"},
		"a header with a number":              {`{"kafkaheaders":"[{\"key\":\"a\",\"value\":1}]","data":1}`, "header 0: value: is not a string"},
		"a header with another member":        {`{"kafkaheaders":"[{\"name\":\"a\",\"value\":\"\"}]","data":1}`, "header 0: name: is not known"},
		"a header key that is null":           {`{"kafkaheaders":"[{\"key\":null,\"value\":\"\"}]","data":1}`, "header 0: key: is not a string"},
	} {
		t.Run(sentence, func(t *testing.T) {
			out, err := Decode([]byte(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v and error %v, want %q", out, err, c.want)
			}
			if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\r\n") || !utf8.ValidString(err.Error()) {
				t.Errorf("the error is not one readable line: %q", err)
			}
			if !reflect.DeepEqual(out, record.Outgoing{}) {
				t.Errorf("an error comes with %+v", out)
			}
		})
	}
}

func TestEncodeSharesNothingWithTheRecord(t *testing.T) {
	r := order()
	b := Encode(r)
	out, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if string(out.Value) != string(r.Value) || string(out.Key) != "customer-7" ||
		!slices.EqualFunc(out.Headers, r.Headers,
			func(a, b record.Header) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }) {
		t.Errorf("the decoded record changed with the body: %+v", out)
	}
}

// FuzzEncode checks that every record becomes an event and comes back.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("k"), []byte(`{"a": 1}`), "content-type", []byte("application/json"), int64(0), uint8(0))
	f.Add([]byte{}, []byte{0xff}, "\xff", []byte{}, int64(-1), uint8(7))
	f.Add([]byte("\n"), []byte("<&>\u2028"), "ce_id", []byte("1"), int64(1<<61), uint8(8))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, hv []byte, millis int64, flags uint8) {
		orNil := func(v []byte, bit int) []byte {
			if flags&(1<<bit) != 0 {
				return nil
			}
			return append([]byte{}, v...)
		}
		r := &record.Record{Topic: "t", Timestamp: time.UnixMilli(max(-1, millis%(1<<53))), Attempt: 1, Key: orNil(key, 0),
			Value:   orNil(value, 1),
			Headers: []record.Header{{Key: name, Value: orNil(hv, 2)}, {Key: name, Value: hv}}}
		if r.Headers[1].Value == nil {
			r.Headers[1].Value = []byte{}
		}
		if flags&8 != 0 {
			r.Headers = append(r.Headers, header("ce_specversion", "1.0"), header("ce_type", "t"), header("ce_source", "s"),
				header("ce_id", "i"))
		}
		b := Encode(r)
		mustBeEvent(t, b)
		mustComeBack(t, r, b)
	})
}

// FuzzDecode checks that nothing that a component sends makes a panic or an unreadable error, and that whatever is read
// is read again from an envelope of it.
func FuzzDecode(f *testing.F) {
	f.Add(Encode(order()))
	f.Add([]byte(`{"specversion":"1.0","id":"7","source":"/s","type":"t","n":5,"data":{}}`))
	f.Add([]byte(`{"kafkaheaders":"[{\"key\":\"a\",\"value\":null},{\"keybase64\":\"/w==\",\"base64\":\"\"}]","data":"\ud83d\ude00"}`))
	f.Add([]byte(`{"kafkatombstone":true,"data":null,"kafkakey":"\u0000"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := Decode(body)
		if err != nil {
			if !utf8.ValidString(err.Error()) || len(err.Error()) > 500 {
				t.Errorf("error %q", err)
			}
			return
		}
		if out.Partition < record.AnyPartition || out.Topic != "" {
			t.Errorf("%+v", out)
		}
		r := &record.Record{Topic: "t", Attempt: 1, Key: out.Key, Value: out.Value, Headers: out.Headers,
			Timestamp: out.Timestamp}
		b := Encode(r)
		mustBeEvent(t, b)
		mustComeBack(t, r, b)
	})
}
