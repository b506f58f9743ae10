package wit

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func TestWhatIsSentReadsTheSameAsJSON(t *testing.T) {
	list := []record.Outgoing{
		{Topic: "t", Partition: 3, Key: []byte("k"), Value: []byte{0xff}, Headers: []record.Header{{Key: "h"}, {Key: "e", Value: []byte{}}}, Timestamp: ms(5)},
		{Topic: "u", Partition: record.AnyPartition},
	}
	got, err := DecodeOutgoingsJSON([]byte(`[{"topic":"t","partition":3,"key":{"text":"k"},"value":{"base64":"/w=="},
		"headers":[{"name":"h","value":null},{"name":"e","value":{"text":""}}],"timestamp":5},{"topic":"u"}]`))
	if err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("decoded as %+v (%v)", got, err)
	}
	for text, mention := range map[string]string{
		``:                                       "not complete",
		`{}`:                                     "a JSON object stands where",
		`[{"topic":"t"},{}]`:                     "record 1: ",
		`[{"topic":"t","partition":-1}]`:         "partition: is no whole number from 0 to 2147483647: no topic takes",
		`[{"topic":"t","partition":2147483648}]`: "partition: is no whole number",
		`[{"topic":"t","partition":"1"}]`:        "partition: a JSON string does not fit there",
		`[{"topic":"t","timestamp":[]}]`:         "timestamp: a JSON array does not fit there",
		`[{"topic":"t","x":1}]`:                  "x",
		"[{\"topic\":\"\xff\"}]":                 "UTF-8",
		`[{"topic":"t","value":"text"}]`:         "a payload is",
		`[] []`:                                  "more behind",
		`[{"topic":"t","topic":"u"}]`:            "record 0: malformed data: topic: is there twice",
		`[{"Topic":"t"}]`:                        "Topic: is not known: its name is topic",
		`[{"topic":"t","headers":[{"name":"a"},{"name":"b","name":"c"}]}]`: "headers[1].name: is there twice",
		`[{"topic":"t","value":{"text":"a","text":"b"}}]`:                  "a payload: text: is there twice",
		`[{"topic":"t","key":{"BASE64":""}}]`:                              "a payload: BASE64: is not known: its name is base64",
		`[1`:                                                               "not complete",
		`x`:                                                                "no JSON",
	} {
		_, err := DecodeOutgoingsJSON([]byte(text))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), mention) {
			t.Errorf("%s gives %v, want %q", text, err, mention)
		} else if strings.Contains(err.Error(), "2147483648") {
			t.Errorf("the error repeats what it is about: %v", err)
		}
	}
	if _, err := DecodeOutgoingsJSON([]byte("[1" + strings.Repeat(",1", maxRecords) + "]")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many records give %v", err)
	}
}

// TestVerdictsNameNothingTwice: the second of two verdicts would count, and records of the first be lost.
func TestVerdictsNameNothingTwice(t *testing.T) {
	for text, mention := range map[string]string{
		`[{"ok":[{"topic":"a"}],"ok":[]}]`:     "[0].ok: is there twice",
		`[{"retry":"a","Retry":"b"}]`:          "[0].Retry: is not known: its name is retry",
		`[{"ok":[{"topic":"a","topic":"b"}]}]`: "[0].ok[0].topic: is there twice",
	} {
		_, err := DecodeProcessedJSON([]byte(text), 1)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), mention) {
			t.Errorf("%s gives %v, want %q", text, err, mention)
		}
	}
	if _, err := DecodeResultsJSON([]byte(`[{"error":"a","error":null,"ok":true}]`), 1); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "[0].error: is there twice") {
		t.Errorf("a result gives %v", err)
	}
	if _, err := DecodeMessageJSON([]byte(`{"subject":"a","body":"","subject":"b"}`)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "subject: is there twice") {
		t.Errorf("a message gives %v", err)
	}
}

// TestANumberThatNoRecordCanHaveRejectsItsRecordAlone: retrying would not change it, and the others can be read.
func TestANumberThatNoRecordCanHaveRejectsItsRecordAlone(t *testing.T) {
	for member, good := range map[string]bool{
		`"partition":2147483647`: true, `"partition":3.0`: true, `"partition":3e2`: true,
		`"partition":-0`: true, `"partition":null`: true,
		`"timestamp":9223372036854775807`: true, `"timestamp":0`: true,
		`"partition":2147483648`: false, `"partition":4294967296`: false, `"partition":-1`: false, `"partition":1.5`: false,
		`"partition":1e400`: false, `"partition":99999999999999999999`: false,
		`"timestamp":-1`: false, `"timestamp":9223372036854775808`: false, `"timestamp":0.5`: false,
	} {
		text := `[{"ok":[{"topic":"a","partition":1}]},{"ok":[{"topic":"b"},{"topic":"c",` + member + `},{"topic":"d"}]},{"retry":"later"}]`
		got, err := DecodeProcessedJSON([]byte(text), 3)
		if err != nil {
			t.Errorf("%s: %v", member, err)
			continue
		}
		if got[0].Kind != record.Done || len(got[0].Outputs) != 1 || got[2].Kind != record.Retry {
			t.Errorf("%s: the others are %+v and %+v", member, got[0], got[2])
		}
		switch o := got[1]; {
		case good && (o.Kind != record.Done || len(o.Outputs) != 3):
			t.Errorf("%s: it is %+v", member, o)
		case !good && (o.Kind != record.Reject || o.Outputs != nil ||
			!strings.HasPrefix(o.Err.Error(), "output 1: "+strings.Split(member, `"`)[1]+": is no whole number from 0 to ")):
			t.Errorf("%s: it is %+v", member, o)
		}
	}
	const broken = `[{"ok":[{"topic":"t","partition":-1},{"topic":""}]}]`
	if _, err := DecodeProcessedJSON([]byte(broken), 1); err == nil ||
		!strings.Contains(err.Error(), "output 1: an outgoing record has no topic") {
		t.Errorf("%s gives %v", broken, err)
	}
}

func TestResultsReadAsJSON(t *testing.T) {
	results := []record.Result{
		{Position: record.Position{Topic: "t", Partition: 3, Offset: 1000}}, {Position: record.Position{Topic: "t", Offset: -1}},
		{Err: &SendError{Case: TooLarge, Size: 300, Limit: 128}}, {Err: &SendError{Case: NotAuthorised, Text: "b"}}, {Err: errors.New("what")},
	}
	const want = `[{"ok":{"topic":"t","partition":3,"offset":1000}},{"ok":{"topic":"t","partition":0,"offset":-1}},` +
		`{"error":{"code":"too-large","message":"too-large: 300 bytes where 128 are allowed","size":300,"limit":128}},` +
		`{"error":{"code":"not-authorised","message":"b"}},{"error":{"code":"other","message":"what"}}]`
	if got := string(AppendSentJSON(nil, results)); got != want {
		t.Errorf("encoded as %s", got)
	}
	no, reply := "no", "r"
	asking := payload.Message{Subject: "s", ReplyTo: &reply}
	for want, got := range map[string][]byte{
		`[]`: AppendSentJSON(nil, nil),
		`{"ok":{"topic":"t","partition":1,"offset":2,"timestamp":3,"key":null,"value":{"text":"v"},"headers":[],"attempt":1}}`: AppendAnswerJSON(nil, &record.Record{Topic: "t", Partition: 1, Offset: 2, Timestamp: ms(3), Value: []byte("v")}, nil),
		`{"error":{"code":"timed-out","message":"c"}}`: AppendAnswerJSON(nil, nil, &SendError{Case: TimedOut, Text: "c"}),
		`{"ok":true}`:    AppendPublishedJSON(nil, nil),
		`{"error":"no"}`: AppendPublishedJSON(nil, &no),
		`{"ok":{"subject":"s","body":"","reply-to":"r"}}`: AppendMessageAnswerJSON(nil, asking, nil),
		"\x00":                   AppendPublished(nil, nil),
		"\x01\x02no":             AppendMessageAnswer(nil, payload.Message{}, &no),
		"\x00\x01s\x00\x01\x01r": AppendMessageAnswer(nil, asking, nil),
	} {
		if string(got) != want {
			t.Errorf("encoded as %q, want %q", got, want)
		}
	}
	msg, err := DecodeMessageJSON([]byte(`{"subject":"s","body":"aGk=","reply-to":"r"}`))
	if err != nil || msg.Subject != "s" || string(msg.Body) != "hi" || *msg.ReplyTo != "r" {
		t.Errorf("decoded as %+v (%v)", msg, err)
	}
	request, err := DecodeRequestMessage(NewBytesDecoder([]byte("\x01s\x02hi")))
	if err != nil || !reflect.DeepEqual(request, payload.Message{Subject: "s", Body: []byte("hi")}) {
		t.Errorf("decoded as %+v (%v)", request, err)
	}
	cutShort(t, "\x01s\x02hi", func(d *Decoder) error { _, err := DecodeRequestMessage(d); return err })
}
