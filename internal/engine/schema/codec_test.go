package schema

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	avroOrder = `{"type":"record","name":"Order","namespace":"shop","fields":[
		{"name":"id","type":"string"},
		{"name":"count","type":"int"},
		{"name":"big","type":"long"},
		{"name":"ratio","type":"float"},
		{"name":"exact","type":"double"},
		{"name":"paid","type":"boolean"},
		{"name":"raw","type":"bytes"},
		{"name":"sum","type":{"type":"fixed","name":"Sum","size":3}},
		{"name":"state","type":{"type":"enum","name":"State","symbols":["NEW","DONE"]}},
		{"name":"tags","type":{"type":"array","items":"string"}},
		{"name":"prices","type":{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}},
		{"name":"note","type":["null","string"]},
		{"name":"next","type":["null","Order"]},
		{"name":"any","type":["null","string","long","State","Order"]},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}
	]}`
	protoOrder = `syntax = "proto3"; package shop;
		message First { string it = 1; message Inner { int32 n = 1; } }
		message Order { string order_id = 1; int64 big = 2; repeated string tags = 3; State state = 4; bytes raw = 5;
			map<string, double> prices = 6; First.Inner inner = 7; oneof way { string mail = 8; int32 shop = 9; } }
		enum State { UNKNOWN = 0; DONE = 1; }`
	jsonOrder = `{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"count":{"type":"integer","minimum":1}},"additionalProperties":false}`
)

// What was written as JSON is read as the same JSON, and framed by the id of its schema in between.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		kind             sr.SchemaType
		schema, in, want string
		message          string
	}{
		"Avro": {kind: sr.TypeAvro, schema: avroOrder, in: `{"id":"ä\"1","count":-3,"big":9223372036854775807,"ratio":0.1,"exact":1e300,"paid":true,
			"raw":"\u0000ÿ","sum":"abc","state":"DONE","tags":["x",""],"prices":{"b":"-0.05","a":"1234567.89"},"note":"n",
			"next":null,"any":{"shop.State":"NEW"},"at":1700000000000}`,
			want: `{"id":"ä\"1","count":-3,"big":9223372036854775807,"ratio":0.1,"exact":1e+300,"paid":true,"raw":"\u0000ÿ","sum":"abc","state":"DONE","tags":["x",""],"prices":{"a":"1234567.89","b":"-0.05"},"note":"n","next":null,"any":{"shop.State":"NEW"},"at":1700000000000}`},
		"Avro, one type alone": {kind: sr.TypeAvro, schema: `"string"`, in: `"hello"`, want: `"hello"`},
		"Avro, what JSON has no number for": {kind: sr.TypeAvro, schema: `{"type":"array","items":["null","double"]}`,
			in: `["NaN","Infinity","-Infinity",null,2]`, want: `["NaN","Infinity","-Infinity",null,2]`},
		"Avro, defaults": {kind: sr.TypeAvro, schema: `{"type":"record","name":"D","fields":[{"name":"a","type":"int","default":7},
			{"name":"b","type":["null","string"]},{"name":"c","type":"bytes","default":"\u00ff"},{"name":"d","type":["string","null"],"default":"x"},
			{"name":"e","type":{"type":"array","items":"int"},"default":[1,2]}]}`,
			in: `{}`, want: `{"a":7,"b":null,"c":"ÿ","d":"x","e":[1,2]}`},
		"Avro, a union that is named needlessly": {kind: sr.TypeAvro, schema: `["null","string"]`, in: `{"string":"x"}`, want: `"x"`},
		"Avro, the only branch that fits":        {kind: sr.TypeAvro, schema: `["null","string","long"]`, in: `5`, want: `{"long":5}`},
		"Avro, whole with a point":               {kind: sr.TypeAvro, schema: `"int"`, in: `1.0e2`, want: `100`},
		"Protobuf, the first message":            {kind: sr.TypeProtobuf, schema: protoOrder, in: `{"it":"x"}`, want: `{"it":"x"}`},
		"Protobuf, one that is named": {kind: sr.TypeProtobuf, schema: protoOrder, message: "shop.Order",
			in:   `{"order_id":"o","big":"9007199254740993","tags":["a","b"],"state":"DONE","raw":"AP8=","prices":{"x":1.5},"inner":{"n":3},"shop":4}`,
			want: `{"orderId":"o","big":"9007199254740993","tags":["a","b"],"state":"DONE","raw":"AP8=","prices":{"x":1.5},"inner":{"n":3},"shop":4}`},
		"Protobuf, one within another": {kind: sr.TypeProtobuf, schema: protoOrder, message: "shop.First.Inner", in: `{"n":1}`, want: `{"n":1}`},
		"Protobuf, what comes with it": {kind: sr.TypeProtobuf, schema: `syntax = "proto3"; import "google/protobuf/timestamp.proto";
			import "google/protobuf/any.proto"; import "google/protobuf/struct.proto";
			message M { google.protobuf.Timestamp at = 1; google.protobuf.Any any = 2; google.protobuf.Struct free = 3; }`,
			in:   `{"at":"2026-01-31T08:00:00Z","any":{"@type":"x/M","at":"2026-01-31T08:00:00Z"},"free":{"a":[1,null]}}`,
			want: `{"at":"2026-01-31T08:00:00Z","any":{"@type":"x/M","at":"2026-01-31T08:00:00Z"},"free":{"a":[1,null]}}`},
		"JSON Schema": {kind: sr.TypeJSON, schema: jsonOrder, in: `{"id": "x", "count": 12345678901234567890}`, want: `{"id": "x", "count": 12345678901234567890}`},
	} {
		topic := strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '.'
		}, name), ".")
		id := r.register(t, topic, c.kind, c.schema)
		codec := r.codec(t, nil, func(s *settings.Link) { s.Schema.Message = c.message })
		framed, err := write(codec, topic, c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, _, ok := parseFrame(framed); !ok || got != id {
			t.Errorf("%s: framed by schema %d (%t), want %d", name, got, ok, id)
		}
		got, err := read(codec, topic, framed)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
}

// What others write is read, and others read what we write: by code that has nothing to do with ours.
func TestOthersReadAndWriteTheSame(t *testing.T) {
	t.Parallel()
	other := avro.MustParse(avroOrder)
	theirs := map[string]any{
		"id": "o", "count": int32(1), "big": int64(2), "ratio": float32(0.5), "exact": 0.25, "paid": false, "raw": []byte{0, 255},
		"sum": []byte("abc"), "state": "NEW", "tags": []any{"t"}, "prices": map[string]any{}, "note": nil, "next": nil,
		"any": map[string]any{"long": int64(5)}, "at": int64(1),
	}
	binary, err := other.Encode(theirs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile(sr.TypeAvro, avroOrder, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.decode(binary, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"raw":"\u0000ÿ","sum":"abc","state":"NEW","tags":["t"],"prices":{},"note":null,"next":null,"any":{"long":5},"at":1}`; !strings.HasSuffix(string(text), want) {
		t.Errorf("read as %s, want an end of %s", text, want)
	}
	ours, err := c.encode(nil, text, 1<<20)
	if err != nil || !bytes.Equal(ours, binary) {
		t.Errorf("written again as %x, %v, want %x", ours, err, binary)
	}
}

// Clients in Python register the base64 of a descriptor in place of the text of a schema.
func TestASchemaOfProtobufMayBeADescriptor(t *testing.T) {
	t.Parallel()
	descriptor := protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto)
	for _, f := range descriptor.MessageType[0].Field {
		f.JsonName = nil // as they do it
	}
	raw, err := proto.Marshal(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(raw)
	c, err := compile(sr.TypeProtobuf, text, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.encode(nil, []byte(`"2026-01-31T08:00:00Z"`), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.decode(b, 1<<10); string(got) != `"2026-01-31T08:00:00Z"` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestDecimals(t *testing.T) {
	t.Parallel()
	c, err := compile(sr.TypeAvro, `{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`"0"`: "0.00", `"0.01"`: "0.01", `"-0.01"`: "-0.01", `"1.28"`: "1.28", `"-1.28"`: "-1.28", `"-1.29"`: "-1.29", `"1.27"`: "1.27",
		`"9999.99"`: "9999.99", `"-9999.99"`: "-9999.99", `12.5`: "12.50", `-327.68`: "-327.68", `"327.68"`: "327.68",
	} {
		b, err := c.encode(nil, []byte(in), 1<<10)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := c.decode(b, 1<<10); string(got) != `"`+want+`"` || err != nil {
			t.Errorf("%s is %s (%x), %v, want %s", in, got, b, err, want)
		}
	}
	for _, in := range []string{`"1.234"`, `"10000"`, `"x"`, `""`, `"1e3"`, `true`, `"--1"`, `"-"`, `"1.-2"`} {
		if b, err := c.encode(nil, []byte(in), 1<<10); err == nil {
			t.Errorf("%s is taken for a decimal: %x", in, b)
		}
	}
}

// secretText stands in values, and must not stand in what is said of them.
const secretText = "sesame42"

// What does not fit is refused in words that say where, and repeat nothing of the value.
func TestWhatDoesNotFitIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.register(t, "avro", sr.TypeAvro, avroOrder)
	r.register(t, "one", sr.TypeAvro, `{"type":"record","name":"One","fields":[{"name":"n","type":"int"},{"name":"u","type":["null","string","bytes"],"default":null}]}`)
	r.register(t, "proto", sr.TypeProtobuf, protoOrder)
	r.register(t, "json", sr.TypeJSON, jsonOrder)
	codec := r.codec(t, nil)
	protoCodec := r.codec(t, nil, func(s *settings.Link) { s.Schema.Message = "shop.Order" })
	for _, c := range []struct{ topic, in, want string }{
		{"one", ``, "it is empty, and no JSON"},
		{"one", `{"n":1`, "it is no JSON"},
		{"one", `{"n":1} x`, "something stands behind its JSON"},
		{"one", `{"n":"sesame42"}`, "n: it is a string and should be a whole number"},
		{"one", `{"n":2147483648}`, "n: it is not a whole number of 32 bits"},
		{"one", `{"n":1.5}`, "n: it is not a whole number of 32 bits"},
		{"one", `{"n":1,"n":2}`, "an object has a member twice"},
		{"one", "{\"n\":1,\"u\":\"\xff\"}", "it is no JSON, which is UTF-8"},
		{"one", `{"n":1,}`, "it is no JSON"},
		{"one", `{"n":[` + strings.Repeat("[", 1000), "nested more than 500 deep"},
		{"one", `{}`, "the field n is missing"},
		{"one", `{"n":1,"sesame42":2}`, "it has a field that the record One has not"},
		{"one", `{"n":1,"u":"sesame42"}`, `u: it is a string, which is not one branch of its union: write {"string|bytes": …}`},
		{"one", `["sesame42"]`, "it is an array and should be an object"},
		{"avro", `{"id":"","count":1,"big":1,"ratio":1,"exact":1,"paid":true,"raw":"€sesame42"}`, "raw: it has characters that are no bytes"},
		{"avro", `{"id":"","count":1,"big":1,"ratio":1e99,"exact":1}`, "ratio: it is too large for a float"},
		{"proto", `{"sesame42":1}`, "has a field that the message has not, at line 1, column 2"},
		{"proto", `{"it":7}`, "has an invalid value for string field it"},
		{"proto", `{"it":"a","it":"sesame42"}`, "has a field twice"},
		{"proto", `sesame42`, "is no JSON"},
		{"proto", ``, "it is empty, and no JSON"},
		{"json", `{"id":"sesame42","count":0}`, `it does not hold to its schema: minimum at "/properties/count" is broken`},
		{"json", `{"count":7}`, `it does not hold to its schema: id at "" is missing`},
		{"json", `{"id":"x","sesame42":1}`, `additionalProperties at "" is broken`},
		{"json", `sesame42`, "it is no JSON"},
		{"json", `{"id":"sesame42","count":1e99999}`, "it has a number of more than 1000 digits"},
		{"json", `{"id":"sesame42","count":1,"more":[{"a":-1E-99999}]}`, "it has a number of more than 1000 digits"},
		{"json", `{"id":"sesame42","count":1e99999999999999999999}`, "it has a number of more than 1000 digits"},
		{"json", `{"id":"sesame42","count":` + strings.Repeat("7", 1001) + `}`, "it has a number of more than 1000 digits"},
		{"nothing", `1`, "the schema registry does not know subject nothing-value"},
	} {
		_, err := write(codec, c.topic, c.in)
		if _, unfit := errors.AsType[*UnfitError](err); !unfit || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secretText) {
			t.Errorf("%s of %s: %v, want %q", c.in, c.topic, err, c.want)
		}
	}
	if _, err := write(protoCodec, "proto", `{"big":"sesame42"}`); err == nil || strings.Contains(err.Error(), secretText) ||
		!strings.Contains(err.Error(), "invalid value for int64 field big") {
		t.Errorf("a wrong number of Protobuf: %v", err)
	}
}

// Each of these is a value that a broken or hostile writer can send.
func TestWhatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	codec := r.codec(t, nil)
	frame := func(id uint32, rest ...byte) []byte { return append(appendFrame(nil, id), rest...) }
	stringID := r.register(t, "s", sr.TypeAvro, `"string"`)
	unionID := r.register(t, "u", sr.TypeAvro, `["null","int"]`)
	arrayID := r.register(t, "a", sr.TypeAvro, `{"type":"array","items":"boolean"}`)
	enumID := r.register(t, "e", sr.TypeAvro, `{"type":"enum","name":"E","symbols":["A"]}`)
	intID := r.register(t, "i", sr.TypeAvro, `"int"`)
	protoID := r.register(t, "p", sr.TypeProtobuf, protoOrder)
	jsonID := r.register(t, "j", sr.TypeJSON, jsonOrder)
	badID := r.register(t, "b", sr.TypeProtobuf, `syntax = "proto3"; import "elsewhere.proto"; message M {}`)
	longID := r.register(t, "l", sr.TypeJSON, `{"multipleOf":1e-99999}`)
	fileID := r.register(t, "f", sr.TypeJSON, `{"$ref":"file:///etc/passwd"}`)
	for name, c := range map[string]struct {
		value []byte
		want  string
	}{
		"no frame":                        {[]byte(`{"a":1}`), "is not framed by a schema registry"},
		"an empty value":                  {[]byte{}, "is not framed"},
		"half a frame":                    {[]byte{0, 0, 0, 1}, "is not framed"},
		"an id that nobody knows":         {frame(999, 1), "the schema registry does not know schema 999"},
		"a string that is cut":            {frame(stringID, 10, 'a'), "it ends within a string"},
		"a string of negative length":     {frame(stringID, 9), "it ends within a string"},
		"a string that is no text":        {frame(stringID, 2, 0xff), "a string is not UTF-8"},
		"something behind it":             {frame(stringID, 2, 'a', 'b'), "1 bytes are left over"},
		"nothing":                         {frame(stringID), "it ends within a number"},
		"a branch that is none":           {frame(unionID, 4), "a union has no branch 2"},
		"a negative branch":               {frame(unionID, 1), "a union has no branch -1"},
		"a boolean that is neither":       {frame(arrayID, 2, 7), "a boolean is neither true nor false"},
		"a block without end":             {frame(arrayID, 2, 1), "it ends within a number"},
		"more items than bytes":           {frame(arrayID, 0xfe, 0xff, 0xff, 0xff, 0x0f), "it ends within a boolean"},
		"a symbol that is none":           {frame(enumID, 2), "an enum E has no symbol 1"},
		"an int of more bits":             {frame(intID, 0xfe, 0xff, 0xff, 0xff, 0x7f), "an int has more than 32 bits"},
		"a number without end":            {frame(intID, bytes.Repeat([]byte{0xff}, 20)...), "it ends within a number"},
		"a message that is none":          {frame(protoID, 2, 8), "no message at the indexes [4]"},
		"an index that is none":           {frame(protoID, 4, 2, 0, 0), "no message at the indexes [1 0]"},
		"indexes that are cut":            {frame(protoID, 6, 2), "the indexes of its message are damaged"},
		"as many indexes as there may be": {frame(protoID, 0xfe, 0xff, 0xff, 0xff, 0x0f), "no more than 100 are read"},
		"no message":                      {frame(protoID, 0, 0xff), "it is no message shop.First of Protobuf"},
		"no JSON":                         {frame(jsonID, '{'), "it is no JSON"},
		"JSON that breaks its schema":     {frame(jsonID, []byte(`{"id":"a","count":0}`)...), "minimum"},
		"a number of many digits":         {frame(jsonID, []byte(`{"id":"a","count":1e99999}`)...), "a number of more than 1000 digits"},
		"a schema of many digits":         {frame(longID, '1'), "cannot be used: it has a number of more than 1000 digits"},
		"a schema that cannot be used":    {frame(badID, 0), "cannot be used"},
		"a schema that wants a file":      {frame(fileID, '1'), "none of its references in the registry"},
	} {
		got, err := read(codec, "t", c.value)
		if _, unfit := errors.AsType[*UnfitError](err); !unfit || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// A few bytes can stand for any amount of JSON. None of these may take more than a bound.
func TestDecodeBombsAreBounded(t *testing.T) {
	t.Parallel()
	many := func(n int) []byte { return protowire.AppendVarint(nil, protowire.EncodeZigZag(int64(n))) }
	nulls := func(depth int) string {
		return strings.Repeat(`{"type":"array","items":`, depth) + `"null"` + strings.Repeat(`}`, depth)
	}
	proto := `syntax = "proto3"; import "google/protobuf/any.proto"; message E {} message M { repeated E e = 1; repeated State s = 2; M m = 3; google.protobuf.Any any = 4; repeated bool b = 5; }
		enum State { ` + strings.Repeat("VERY_LONG_", 40) + ` = 0; }`
	packed := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), make([]byte, 100_000))
	empties := bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), nil), 100_000)
	var deep []byte
	for range 600 {
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), deep)
	}
	inAny := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), empties)
	inAny = append(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x/M"), inAny...)
	inAny = protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), inAny)
	for name, c := range map[string]struct {
		kind   sr.SchemaType
		schema string
		value  []byte
		want   string
	}{
		"Avro, nulls":                {sr.TypeAvro, nulls(1), append(many(math.MaxInt64), 0), "its JSON would be larger"},
		"Avro, arrays of nulls":      {sr.TypeAvro, nulls(2), bytes.Repeat(append(many(1_000_000), 0), 1000), "its JSON would be larger"},
		"Avro, a block of no number": {sr.TypeAvro, nulls(1), many(math.MinInt64), "a number of items that there is not"},
		"Avro, deep": {sr.TypeAvro, `{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}`,
			bytes.Repeat([]byte{2}, 10_000), "nested more than"},
		"Avro, an endless record": {sr.TypeAvro, `{"type":"record","name":"R","fields":[{"name":"r","type":{"type":"array","items":"R"}}]}`,
			bytes.Repeat(many(1), 10_000), "nested more than"},
		"Protobuf, names of enums":       {sr.TypeProtobuf, proto, append([]byte{2, 2}, packed...), "its JSON would be larger"},
		"Protobuf, empty messages":       {sr.TypeProtobuf, proto, append([]byte{2, 2}, empties...), "its JSON would be larger"},
		"Protobuf, within Any":           {sr.TypeProtobuf, proto, append([]byte{2, 2}, inAny...), "its JSON would be larger"},
		"Protobuf, deep":                 {sr.TypeProtobuf, proto, append([]byte{2, 2}, deep...), "nested more than"},
		"Protobuf, a field that is none": {sr.TypeProtobuf, proto, []byte{2, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "no message M"},
	} {
		codec, err := compile(c.kind, c.schema, nil, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := codec.decode(c.value, 1<<20)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d bytes, %v, want %q", name, len(out), err, c.want)
		}
	}
	if c, err := compile(sr.TypeAvro, `{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"s","type":"string","default":"`+
		strings.Repeat("x", 100_000)+`"}]}}`, nil, ""); err != nil {
		t.Error(err)
	} else if _, err := c.encode(nil, []byte("["+strings.Repeat("{},", 10_000)+"{}]"), 1<<20); err == nil || !strings.Contains(err.Error(), "it would have more than") {
		t.Errorf("defaults without end: %v", err)
	}
}

// A value whose JSON is large counts as memory until the record is handled, and one for which there is never enough is
// refused.
func TestWhatIsMadeCountsAsMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.register(t, "t", sr.TypeAvro, `{"type":"array","items":"null"}`)
	budget := memory.New(64 << 20)
	codec := r.codec(t, budget.Open("values"))
	value := func(items int) []byte {
		return append(appendFrame(nil, id), append(protowire.AppendVarint(nil, protowire.EncodeZigZag(int64(items))), 0)...)
	}
	var held Held
	made, err := codec.Decode(t.Context(), recordOf("t", value(1_000_000)), &held)
	if err != nil {
		t.Fatal(err)
	}
	if used := budget.Status().Used; used != int64(len(made.Value)) || used < 5_000_000 {
		t.Errorf("%d bytes count as memory for JSON of %d", used, len(made.Value))
	}
	held.Free()
	if used := budget.Status().Used; used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
	if _, err := codec.Decode(t.Context(), recordOf("t", value(10_000_000)), &held); err == nil || !strings.Contains(err.Error(), "its JSON would be larger than 16777216 bytes") {
		t.Errorf("more than a quarter of the memory: %v", err)
	}
}

func FuzzFraming(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0}, []byte{2, 2})
	f.Add([]byte{0, 0, 0, 0, 1, 4, 2, 0, 9}, []byte{})
	f.Fuzz(func(t *testing.T, value, more []byte) {
		id, rest, framed := parseFrame(value)
		if !framed {
			if len(value) >= headSize && value[0] == 0 {
				t.Fatalf("%x is framed", value)
			}
			return
		}
		if back := append(appendFrame(nil, id), rest...); !bytes.Equal(back, value) {
			t.Fatalf("%x is written again as %x", value, back)
		}
		indexes, message, err := parseIndexes(append(rest, more...))
		if err != nil {
			return
		}
		again, same, err := parseIndexes(append(appendIndexes(nil, indexes), message...))
		if err != nil || !bytes.Equal(same, message) || len(again) != len(indexes) {
			t.Fatalf("indexes %v are read again as %v, %v", indexes, again, err)
		}
	})
}

// Whatever stands behind a frame, reading it ends, within its bound; and what was read can be written and read again.
func FuzzValues(f *testing.F) {
	var codecs []codec
	for kind, text := range map[sr.SchemaType]string{sr.TypeAvro: avroOrder, sr.TypeProtobuf: protoOrder} {
		c, err := compile(kind, text, nil, map[sr.SchemaType]string{sr.TypeProtobuf: "shop.Order"}[kind])
		if err != nil {
			f.Fatal(err)
		}
		codecs = append(codecs, c)
	}
	f.Add([]byte{2, 2, 10, 1, 'a', 16, 5})
	f.Add([]byte("\x02o\x02\x04\x00\x00\x00?\x00\x00\x00\x00\x00\x00\xd0?\x00\x04\x00\xffabc\x00\x02\x02t\x00\x00\x00\x00\x04\n\x02"))
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, c := range codecs {
			const limit = 64 << 10
			text, err := c.decode(value, limit)
			if err != nil {
				continue
			}
			if len(text) > 4*limit {
				t.Fatalf("%d bytes of JSON of %d", len(text), len(value))
			}
			if _, is := c.(protobufCodec); is {
				continue // the message that is written need not be the one that was read
			}
			again, err := c.encode(nil, text, 1<<20)
			if err != nil {
				t.Fatalf("%s, which was read, cannot be written: %v", text, err)
			}
			if same, err := c.decode(again, limit); err != nil || !bytes.Equal(same, text) {
				t.Fatalf("%s is %s, %v, when it was written", text, same, err)
			}
		}
	})
}
