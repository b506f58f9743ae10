package wit

import (
	"reflect"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// FuzzJSON: no bytes make a decoder of JSON panic, and what is decoded survives encoding and decoding.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`[{"ok":[{"topic":"t","partition":1,"key":{"text":"k"},"value":{"base64":"/w=="},"headers":[{"name":"h","value":null}],"timestamp":5}]}]`), 1)
	f.Add([]byte(`[{"retry":"later"},{"reject":""}]`), 2)
	f.Add([]byte(`[{"ok":true},{"error":"no"}]`), 2)
	f.Add([]byte(`[{"ok":[]}] x`), 1)
	f.Add([]byte(`[{"ok":[],"ok":[{"topic":"t","topic":"u"}]}]`), 1)
	f.Add([]byte(`[{"Retry":"later","retry":"never"},{"ok":[{"topic":"t","value":{"text":"a","t\u0065xt":"b"}}]}]`), 2)
	f.Add([]byte(`[{"topic":"t","timestamp":5},{"topic":"u","headers":[{"name":"h","value":{"text":""}}]}]`), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n &= 0xff
		if outcomes, err := DecodeProcessedJSON(b, n); err == nil {
			got, err := DecodeProcessedJSON(AppendProcessedJSON(nil, outcomes), n)
			if err != nil || !reflect.DeepEqual(kindsAndTexts(got), kindsAndTexts(outcomes)) {
				t.Fatalf("%+v became %+v (%v)", outcomes, got, err)
			}
		}
		if list, err := DecodeOutgoingsJSON(b); err == nil {
			got, err := DecodeProcessedJSON(AppendProcessedJSON(nil, []record.Outcome{{Kind: record.Done, Outputs: list}}), 1)
			want := []record.Outcome{{Kind: record.Done, Outputs: list}}
			if err != nil || !reflect.DeepEqual(kindsAndTexts(got), kindsAndTexts(want)) {
				t.Fatalf("%+v became %+v (%v)", list, got, err)
			}
		}
		if failures, err := DecodeResultsJSON(b, n); err == nil {
			got, err := DecodeResults(AppendResults(nil, failures), n)
			if err != nil || len(got) != n {
				t.Fatalf("%v became %v (%v)", failures, got, err)
			}
		}
	})
}

// kindsAndTexts are outcomes without what makes equal ones differ: errors are pointers, and an empty list may be nil.
func kindsAndTexts(outcomes []record.Outcome) []any {
	var all []any
	for _, o := range outcomes {
		all = append(all, o.Kind, len(o.Outputs))
		if o.Err != nil {
			all = append(all, o.Err.Error())
		}
		for _, out := range o.Outputs {
			all = append(all, out.Topic, out.Partition, out.Timestamp.UnixMilli(), string(out.Key), out.Key == nil,
				string(out.Value), out.Value == nil, len(out.Headers))
		}
	}
	return all
}
