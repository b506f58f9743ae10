package httpin

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func TestSendTakesWholeRecords(t *testing.T) {
	list := []record.Outgoing{
		{Topic: "orders", Partition: 2, Key: []byte("k"), Value: []byte{0xff}, Headers: []record.Header{{Key: "h", Value: []byte("v")}}},
		{Topic: "missing", Partition: record.AnyPartition},
		{Topic: "orders", Partition: 1, Value: nil},
	}
	b := newBench(t, map[string]string{"publish_timeout": "5s"}, nil)
	a := b.post("/v1/records/send", wit.RecordsType, string(wit.AppendOutgoings(nil, list)))
	results, err := wit.DecodeSent(wit.NewBytesDecoder([]byte(a.body)))
	if err != nil || a.status != 200 || len(results) != 3 || a.header.Get("Content-Type") != wit.RecordsType {
		t.Fatalf("answered %d %q (%v)", a.status, a.body, err)
	}
	e, _ := errors.AsType[*wit.SendError](results[1].Err)
	if results[0].Position != (record.Position{Topic: "orders", Partition: 2}) || e == nil || e.Case != wit.UnknownTopic || results[2].Partition != 1 {
		t.Errorf("results %+v", results)
	}
	a = b.post("/v1/records/send", wit.RecordsTypeJSON,
		`[{"topic":"orders","partition":2,"key":{"text":"k"},"value":{"base64":"/w=="},"headers":[{"name":"h","value":null}]},{"topic":"missing","value":null}]`)
	var answer []struct {
		OK    *struct{ Topic, Partition, Offset any }
		Error *struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || len(answer) != 2 || answer[0].OK == nil || answer[0].OK.Offset != 1. ||
		answer[1].Error == nil || answer[1].Error.Code != "unknown-topic" || answer[1].Error.Message == "" {
		t.Errorf("answered %d %s (%v)", a.status, a.body, err)
	}
	for _, r := range b.kc.Read("orders", 3) {
		if r.Partition == 2 && (string(r.Key) != "k" || string(r.Value) != "\xff") || r.Partition == 1 && r.Value != nil {
			t.Errorf("stored %+v", r)
		}
	}
	if a := b.post("/v1/records/send", wit.RecordsType, "\x00"); a.status != 200 || a.body != "\x00" {
		t.Errorf("no records: %d %q", a.status, a.body)
	}
	b.post("/v1/records/send", wit.RecordsType, "").want(t, 400, "")
	b.post("/v1/records/send", wit.RecordsType, "\x00\x00").want(t, 400, "more behind")
	b.post("/v1/records/send", wit.RecordsType, "\x01\x01t").want(t, 400, "record 0")
	b.post("/v1/records/send", wit.RecordsTypeJSON, `[{"topic":""}]`).want(t, 400, "topic")
	b.post("/v1/records/send", "application/json", `[]`).want(t, 415, wit.RecordsTypeJSON)
}
