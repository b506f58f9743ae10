package jsonnames

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

type inner struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

type outer struct {
	Records *[]json.RawMessage `json:"records"`
	Topic   *string            `json:"topic,omitempty"`
	Headers []inner            `json:"headers"`
	One     *inner             `json:"one"`
	Any     any                `json:"any"`
	Map     map[string]inner   `json:"map"`
	Bytes   []byte             `json:"bytes"`
}

func TestANameThatIsThereTwiceOrInAnotherCaseIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"records":[1],"records":[2]}`:                        "records: is there twice",
		`{"records":null,"topic":"a","records":[]}`:            "records: is there twice",
		`{"records":[1],"Records":[2]}`:                        "Records: is not known: its name is records",
		`{"RECORDS":[1]}`:                                      "RECORDS: is not known: its name is records",
		`{"record\u0073":[1],"\u0072ecords":[2]}`:              "records: is there twice",
		`{"record` + "\u017f" + `":[1]}`:                       "record\u017f: is not known: its name is records",
		` { "headers" : [ {} , { "name" : "a" , "name":"b"}]}`: "headers[1].name: is there twice",
		`{"one":{"value":1,"vaLue":2}}`:                        "one.vaLue: is not known: its name is value",
		`{"topic":"\"records\":","topic":"\\"}`:                "topic: is there twice",
	} {
		var v outer
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err := Check([]byte(text), &v)
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Error() != want {
			t.Errorf("%s: %v, not %q", text, err, want)
		}
		list := []outer{}
		err = Check([]byte("[{},"+text+"]"), &list)
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Error() != "[1]."+want {
			t.Errorf("a list of %s: %v, not %q", text, err, want)
		}
	}
}

func TestWhatMeansNothingHereIsNotLookedAt(t *testing.T) {
	const twice = `{"name":1,"name":2,"Name":[{"a":"}","a":"\\\""}]}`
	for _, text := range []string{
		`{}`, `null`, ` [ ] `, `3`, `"records"`, `{"records":[],"topic":null,"headers":[],"one":null}`,
		`{"records":[` + twice + `,` + twice + `],"any":` + twice + `}`, `{"one":{"value":` + twice + `}}`,
		`{"map":{"a":{},"a":{}},"other":` + twice + `,"other":-1.5e3 , "Other":true}`, `{"bytes":"YQ==","one":[1],"headers":{"name":1,"name":2}}`,
	} {
		if err := Check([]byte(text), &outer{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestALargeObjectTakesNoMemory: what is looked at is not copied.
func TestALargeObjectTakesNoMemory(t *testing.T) {
	text := []byte(`{"records":[` + strings.Repeat(`{"a":["b",{"c":"d"}]},`, 10000) + `0],"headers":[` +
		strings.Repeat(`{"name":"a","value":null},`, 10000) + `{}]}`)
	var v outer
	if n := testing.AllocsPerRun(10, func() {
		if err := Check(text, &v); err != nil {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzCheck compares with a reader of tokens, for a struct of one level.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		`{"name":1,"name":2}`, `{"name":"","Name":""}`, `{"n\u0061me":1,"value":{"name":1,"name":2}}`, `{`, `{"`,
		`{"name"`, `{"name":`, `{"name":[`, `"\`,
		`{"name":1,}`, `[]]`, `{"a":1 2}`, `{"NAME":[{"a":{}}]}`, "{\"name\":\"\xff\"}",
		`{"a":{"b":[1,true,null,"]"]},"value":-0.1E+7}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b, &inner{})
		if !json.Valid(b) {
			return // it ended, and did not panic
		}
		want, at := false, json.NewDecoder(bytes.NewReader(b))
		if first, _ := at.Token(); first == json.Delim('{') {
			seen := map[string]bool{}
			for at.More() {
				token, _ := at.Token()
				name := token.(string)
				for _, known := range []string{"name", "value"} {
					want = want || strings.EqualFold(name, known) && (name != known || seen[name])
				}
				seen[name] = true
				var value json.RawMessage
				if err := at.Decode(&value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, got := errors.AsType[*Error](err); got != want || !want && err != nil {
			t.Errorf("%s: %v", b, err)
		}
	})
}
