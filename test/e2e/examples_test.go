//go:build e2e

package e2e

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// startExample starts a host with a component of examples/ as its manifest has it, except for the provider, which the
// test plays.
func startExample(t *testing.T, name string, k *kafkaDouble) guestCalls {
	t.Helper()
	testkit.CheckLeaks(t)
	testkit.HostBinary(t)
	wasm := testkit.ComponentWasm(t, name)
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{})
	host.ApplyManifest("examples/"+name+"/wadm.yaml", testkit.ManifestOptions{Images: map[string]string{name: wasm}})
	return callRecords(t, ns, host, name, k)
}

func TestTheEnrichExample(t *testing.T) {
	k := &kafkaDouble{fail: func(r record.Outgoing) error {
		switch string(r.Key) {
		case "large":
			return &wit.SendError{Case: wit.TooLarge, Size: 2, Limit: 1}
		case "away":
			return &wit.SendError{Case: wit.Unavailable, Text: "no broker"}
		default:
			return nil
		}
	}}
	g := startExample(t, "enrich", k)
	at := time.UnixMilli(1_900_000_000_123)
	order := func(offset int64, key, value string) *record.Record {
		return &record.Record{
			Topic: "orders", Partition: 2, Offset: offset, Timestamp: at, Attempt: 1, Key: []byte(key), Value: []byte(value),
			Headers: []record.Header{{Key: "trace", Value: []byte("1")}},
		}
	}
	tombstone := order(43, "gone", "")
	tombstone.Value = nil
	outcomes, err := g.handle(
		order(42, "good", `{"id":7,"country":"FR","amount":12.50}`),
		order(43, "bad", `{"id":8`),
		order(44, "list", `[]`),
		order(45, "nowhere", `{"id":9}`),
		order(46, "unknown", `{"country":"XX"}`),
		order(47, "binary", "\xff"),
		tombstone,
		order(48, "large", `{"country":"CH"}`),
		order(49, "away", `{"country":"GB"}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `done; reject (the order is not a JSON object: EOF while parsing an object at line 1 column 7); ` +
		`reject (the order is not a JSON object: invalid type: sequence, expected a map at line 1 column 0); ` +
		`reject (the order has no country); reject (the currency of country "XX" is not known); ` +
		`reject (the order is not UTF-8); done; reject (2 bytes are more than 1); retry (no broker)`
	if got := said(outcomes); got != want {
		t.Errorf("it said\n%s, want\n%s", got, want)
	}
	enriched := func(from, key string, value []byte) record.Outgoing {
		return record.Outgoing{
			Topic: "orders.enriched", Partition: record.AnyPartition, Key: []byte(key), Value: value, Timestamp: at,
			Headers: []record.Header{{Key: "trace", Value: []byte("1")}, {Key: "enriched-from", Value: []byte(from)}},
		}
	}
	wantSent := []record.Outgoing{
		enriched("orders/2/42", "good", []byte(`{"id":7,"country":"FR","amount":12.50,"currency":"EUR"}`)),
		enriched("orders/2/43", "gone", nil),
		enriched("orders/2/48", "large", []byte(`{"country":"CH","currency":"CHF"}`)),
		enriched("orders/2/49", "away", []byte(`{"country":"GB","currency":"GBP"}`)),
	}
	if got := k.nextSending(t).list; !reflect.DeepEqual(got, wantSent) {
		t.Errorf("it sent\n%q, want\n%q", got, wantSent)
	}
}

func TestTheWordCountExample(t *testing.T) {
	g := startExample(t, "word-count", &kafkaDouble{})
	at := time.UnixMilli(1_900_000_000_123)
	text := func(value []byte) *record.Record {
		return &record.Record{Topic: "texts", Timestamp: at, Attempt: 1, Value: value}
	}
	outcomes, err := g.process(text([]byte("To be, or not to be")), text(nil), text([]byte(" - ")), text([]byte{0xff}),
		text([]byte("Über-große über")))
	if err != nil {
		t.Fatal(err)
	}
	words := func(pairs ...string) record.Outcome {
		o := record.Outcome{Kind: record.Done}
		for i := 0; i < len(pairs); i += 2 {
			o.Outputs = append(o.Outputs, record.Outgoing{
				Topic: "texts.words", Partition: record.AnyPartition, Key: []byte(pairs[i]),
				Value: []byte(pairs[i+1]), Timestamp: at,
			})
		}
		return o
	}
	want := []record.Outcome{
		words("be", "2", "not", "1", "or", "1", "to", "2"),
		words(), words(),
		{Kind: record.Reject, Err: errors.New("the text is not UTF-8")},
		words("große", "1", "über", "2"),
	}
	if !reflect.DeepEqual(outcomes, want) {
		t.Errorf("it said\n%+v, want\n%+v", outcomes, want)
	}
}
