package filter

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// hush stands in all parts of a record that no error may hold.
const hush = "hush-hush"

func order() *record.Record {
	return &record.Record{
		Topic: "orders", Partition: 3, Offset: 7, Timestamp: time.Date(2026, 1, 31, 8, 0, 0, 0, time.FixedZone("", 3600)), Key: []byte("k1"),
		Headers: []record.Header{
			{Key: "type", Value: []byte("created")}, {Key: "twice", Value: []byte("1")}, {Key: "twice", Value: []byte("2")},
			{Key: "bytes", Value: []byte{0xff, 0}}, {Key: "null"}, {Key: "secret", Value: []byte(hush)},
		},
		Value: []byte(` {"a": {"b": "x\u0041", "b\u002d": {}}, "n": 5, "f": 1.5, "neg": -0, "id": 9007199254740993, "uid": 18446744073709551615, "huge": 1e999,` +
			` "l": [1, 2 ,{"s": "q]}\"" } , []], "e": [ ], "dup": 1, "dup": 2, "t": true, "no": false, "nil": null, "secret": "` + hush + `", "utf8": "` + "\xff" + `"}` + "\n"),
	}
}

func TestWhatAnExpressionSaysOfARecord(t *testing.T) {
	for expression, want := range map[string]bool{
		`true`:               true,
		`topic == "orders"`:  true,
		`topic != "orders"`:  false,
		`partition in [1,3]`: true,
		`offset >= 8`:        false,
		`!(topic == "orders" && partition == 3 && offset == 7)`: false,
		`key == "k1"`:                                                    true,
		`key.startsWith("k")`:                                            true,
		`key == 5`:                                                       false,
		`size(key) == 2 && size > size(topic)`:                           true,
		`headers.type == "created"`:                                      true,
		`headers["type"].matches("^(?i)CREA")`:                           true,
		`headers.twice == "2"`:                                           true,
		`headers.bytes == b"\xff\x00"`:                                   true,
		`bytes(headers.twice) == b"2"`:                                   true,
		`headers["null"] == null`:                                        true,
		`"type" in headers`:                                              true,
		`has(headers.missing)`:                                           false,
		`headers.?missing.orValue("") == "x"`:                            false,
		`headers[?"type"].orValue("") != "x"`:                            true,
		`size(headers) == 5`:                                             true,
		`timestamp.getUTCHours() == 7`:                                   false, // there is no such function
		`timestamp.getHours() == 7`:                                      true,
		`timestamp == timestamp("2026-01-31T07:00:00Z")`:                 true,
		`timestamp > timestamp("2026-01-31T07:00:00Z") - duration("1h")`: true,
		`value.a.b == "xA"`:                                              true,
		`has(value.a.c)`:                                                 false,
		`has(value.a["b-"])`:                                             false, // has takes no index
		`"b-" in value.a`:                                                true,
		`value.?a.?c.?d.orValue(3) == 3`:                                 true,
		`value.n == 5 && value.n > 4.5 && value.n < 6`:                   true,
		`value.n == 5u`:                                                  true,
		`value.n == "5"`:                                                 false,
		`value.f * 2.0 == 3.0`:                                           true,
		`value.neg == 0`:                                                 true,
		`value.id == 9007199254740993`:                                   true,
		`value.id == 9007199254740992`:                                   false,
		`value.uid == 18446744073709551615u`:                             true,
		`value.l[0] == 1 && value.l[2].s == "q]}\""`:                     true,
		`value.l.exists(e, type(e) == map && e.s.startsWith("q"))`:       true,
		`value.l.all(e, e == 1)`:                                         false,
		`size(value.l) == 4 && size(value.e) == 0 && size(value.a) == 2`: true,
		`2 in value.l`:                                                   true,
		`3 in value.l`:                                                   false,
		`value.l[3] == []`:                                               true,
		`value.l.filter(e, type(e) == double).map(e, e + 1.0) == [2.0, 3.0]`: true,
		`(value.e + [1]) == [1] && ([1] + value.e) == [1]`:                   true,
		`value.a == {"b": "xA", "b-": {}}`:                                   true,
		`{"b": "xA", "b-": {}} == value.a`:                                   true,
		`value.a == {"b": "xA", "c": {}}`:                                    false,
		`value.a == {"b": "xA"}`:                                             false,
		`value.a == value.l`:                                                 false,
		`value.l == value.a`:                                                 false,
		`value.l == value.l && value.l != value.e`:                           true,
		`value.a.all(name, name.startsWith("b"))`:                            true,
		`value.dup == 2`:                                                     true,
		`value.t && !value.no && value.nil == null`:                          true,
		`value.t`: true,
		`type(value) == map && type(value.l) == list`: true,
		`value.utf8 == "\uFFFD"`:                      true,
		`1 in value`:                                  false,
		"topic == 'orders' &&\n  // of which customer\n\tkey == 'k1'": true,
		// What fails on one side of || and && does not matter where the other decides.
		`headers.missing == "x" || topic == "orders"`: true,
		`value.missing == 1 && false`:                 false,
	} {
		f, err := Compile(expression)
		if strings.Contains(expression, "getUTC") || strings.Contains(expression, `has(value.a["b-"])`) {
			if err == nil {
				t.Errorf("%s is accepted", expression)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		for range 2 { // it keeps nothing of a record
			if got, err := f.Match(order()); err != nil || got != want {
				t.Errorf("%s is %v (%v), want %v", expression, got, err, want)
			}
		}
	}
}

func TestARecordMayHaveNothingInIt(t *testing.T) {
	for expression, want := range map[string]bool{
		`value == null && key == null && size == 0 && size(headers) == 0`: true,
		`key != null && key.startsWith("a")`:                              false,
		`value != null && value.a == 1`:                                   false,
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Match(&record.Record{Topic: "orders"}); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", expression, got, err, want)
		}
	}
	f, err := Compile(`key == b"\xff"`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Match(&record.Record{Key: []byte{0xff}}); err != nil || !got {
		t.Errorf("a key that is no text: %v, %v", got, err)
	}
}

func TestAWrongExpressionIsRefusedWithItsPlace(t *testing.T) {
	for expression, want := range map[string]string{
		``:                             "line 1, column 1: mismatched input the end of the expression",
		`key ==`:                       "line 1, column 7: mismatched input the end of the expression",
		`foo == 1`:                     "line 1, column 1: undeclared reference to 'foo'; a record has key, headers, value, topic, partition, offset, timestamp and size",
		"topic == 'ä' &&\n valu == 1":  "line 2, column 2: undeclared reference to 'valu' (did you mean 'value'?)",
		`topic == "ä" && foo`:          "line 1, column 17: undeclared reference to 'foo'; a record has",
		`topic == 5`:                   "line 1, column 7: found no matching overload for '_==_' applied to '(string, int)'",
		`partition.startsWith("a")`:    "line 1, column 21: found no matching overload",
		`size`:                         "line 1, column 1: the expression gives an int, and a filter says true or false",
		`topic`:                        "line 1, column 1: the expression gives a string, and a filter says true or false",
		`topic.matches("(")`:           "line 1, column 15: invalid matches argument",
		`timestamp > timestamp("now")`: "line 1, column 23: invalid timestamp argument",
		`now() > timestamp`:            "undeclared reference to 'now'",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "it is nested too deep: 64",
		`topic == "` + strings.Repeat("x", MaxLength) + `"`:          "the expression is too long: 4107, limit 4096",
	} {
		_, err := Compile(expression)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%.60s: %v, want %s", expression, err, want)
		}
	}
}

func TestAnExpressionThatFailsSaysWhereAndNothingOfTheRecord(t *testing.T) {
	for expression, want := range map[string]string{
		`headers.missing == "x"`:                   "line 1, column 8: no such key",
		`value[value.secret] == 1`:                 "line 1, column 6: no such key",
		`value.a.b.c == 1`:                         "line 1, column 10: no such key",
		`value.l[9] == 1`:                          "line 1, column 8: index out of bounds",
		"true &&\nint(value.secret) == 1":          "line 2, column 4: type conversion error from 'string' to 'int'",
		`duration(value.secret) == duration("1s")`: "line 1, column 9: ",
		`value.a.matches("x")`:                     "line 1, column 16: no such overload",
		`value.n + 1 == 6`:                         "line 1, column 9: no such overload",
		`partition / 0 == 1`:                       "line 1, column 11: division by zero",
		`value.n`:                                  "line 1, column 1: the expression gives a value of the type double, and neither true nor false",
		`key`:                                      "line 1, column 1: the expression gives a value of the type string",
		`value.huge > 1.0`:                         "line 1, column 6: a number of the value is too large",
		`"x".matches(value.l[2].s + "(")`:          "it cannot be evaluated for this record",
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		match, err := f.Match(order())
		if match || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", expression, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), hush) || strings.Contains(err.Error(), "q]}")) {
			t.Errorf("%s: %v holds a part of the record", expression, err)
		}
	}
	for _, value := range []string{"", "hello " + hush, `{"a":`, `{"a":1} 2`, "\x00\x00\x00\x00\x05ab"} {
		f, err := Compile(`value.a == 1`)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Match(&record.Record{Value: []byte(value)})
		if err == nil || err.Error() != "line 1, column 6: the record's value is not JSON" {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestNoRecordMakesAnEvaluationLong has expressions that are dear for some records come to an end.
func TestNoRecordMakesAnEvaluationLong(t *testing.T) {
	many := "[" + strings.Repeat("1,", 200_000) + "1]"
	names := &strings.Builder{}
	for i := range 2000 {
		fmt.Fprintf(names, `"n%d":1,`, i)
	}
	r := &record.Record{Value: fmt.Appendf(nil, `{"many":%s,"o":{%s"n":1},"s":%q,"long":%q}`, many, names,
		strings.Repeat("ab", 100_000), strings.Repeat("ab", 2_000_000))}
	for expression, want := range map[string]string{
		`value.many.all(e, value.many.all(f, e == f))`:  "the evaluation costs more than 1000000",
		`value.o.all(name, value.many[200000] == 1)`:    "the expression reads the value too often",
		`value.many.map(e, e).size() > 0`:               "the evaluation ",
		`(value.many + [1]).size() > 0`:                 "a list of the value has more than 20000 elements",
		`value.s.matches("(a*)*b(a|b|ab)*c" + value.s)`: "",
		`[1,2,3,4,5,6,7,8,9,10].all(e, (value.long + value.long + value.long + value.long + value.long + value.long).contains("c") || true)`: "the evaluation ",
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		match, err := f.Match(r)
		if match || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v (%v), want %q", expression, match, err, want)
		}
	}
	// A large value is none for an expression that goes through it once.
	f, err := Compile(`value.many.exists(e, e == 2) || size(value.many) != 200001`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Match(&record.Record{Value: []byte(`{"many":[` + strings.Repeat("1,", 20_000) + `2]}`)}); err != nil {
		t.Error(err)
	}
}

func TestAnExpressionTellsWhetherItLooksIntoValues(t *testing.T) {
	for expression, want := range map[string]bool{
		`topic == "value"`: false, `headers.value == "x"`: false, `value.a == 1`: true, `has(value.a)`: true, `key == "a" || value == null`: true,
		`[1].exists(value, value == 1)`: true, // one too many does no harm
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if f.AsksValue() != want {
			t.Errorf("%s: %v", expression, !want)
		}
	}
}

// FuzzDocument compares what an expression is told of a value with what encoding/json makes of it.
func FuzzDocument(f *testing.F) {
	f.Add(order().Value)
	f.Add([]byte(`[1,{"a":[]},"\u00e4\n",-1.5e3,null,true,[ ],{ },9007199254740993]`))
	f.Add([]byte(`{"a":1,"a":{"\u0061":2}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		got := document(value)
		if value == nil || !json.Valid(value) {
			if value != nil && !types.IsError(got) {
				t.Errorf("%q is %v", value, got)
			}
			return
		}
		d := json.NewDecoder(strings.NewReader(string(value)))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Skip(err)
		}
		compare(t, got, want)
		if same := types.Equal(got, document(value)); same != types.True && !strings.Contains(string(value), "e") {
			t.Errorf("%q does not equal itself: %v", value, same)
		}
	})
}

func compare(t *testing.T, got ref.Val, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		m := got.(traits.Mapper)
		if int(m.Size().(types.Int)) < len(want) {
			t.Errorf("%v has %v names, want %d", want, m.Size(), len(want))
		}
		for name, inner := range want {
			if strings.Contains(name, "\uFFFD") {
				continue // names that are no UTF-8 become one, and some the same
			}
			v, found := m.Find(types.String(name))
			if !found {
				t.Errorf("%q is not in %v", name, want)
				continue
			}
			compare(t, v, inner)
		}
		for it := m.Iterator(); it.HasNext() == types.True; {
			if name := it.Next().Value().(string); !strings.Contains(name, "\uFFFD") && reflect.ValueOf(want[name]).IsValid() {
				if m.Contains(types.String(name)) != types.True {
					t.Errorf("%q is iterated over and not found", name)
				}
			}
		}
	case []any:
		l := got.(traits.Lister)
		if int(l.Size().(types.Int)) != len(want) {
			t.Fatalf("%v elements, want %d", l.Size(), len(want))
		}
		it := l.Iterator()
		for i, inner := range want {
			compare(t, it.Next(), inner)
			compare(t, l.Get(types.Int(i)), inner)
		}
	case json.Number:
		if f, err := want.Float64(); err != nil {
			if !types.IsError(got) {
				t.Errorf("%s is %v", want, got)
			}
		} else if types.Equal(got, types.Double(f)) != types.True && f < maxExact && f > -maxExact {
			t.Errorf("%s is %v", want, got)
		}
	case string:
		if got != types.String(want) && !strings.Contains(want, "\uFFFD") {
			t.Errorf("%q, want %q", got, want)
		}
	case bool:
		if got != types.Bool(want) {
			t.Errorf("%v, want %v", got, want)
		}
	case nil:
		if got != types.NullValue {
			t.Errorf("%v, want null", got)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, expression := range []string{
		`headers.type == "created"`, `value.l[2].s == "q"`, `topic == "orders" && key.startsWith("k")`,
	} {
		f, err := Compile(expression)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(expression, func(b *testing.B) {
			b.ReportAllocs()
			r := order()
			for b.Loop() {
				if _, err := f.Match(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
