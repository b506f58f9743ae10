package provider

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// registry is a schema registry with a schema for the values of topics, and returns what frames such a value: an order
// of Avro, {"n":n}.
func registry(t *testing.T, topics ...string) (url string, framed func(n byte) []byte) {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	id := 0
	for _, topic := range topics {
		var err error
		if id, _, err = r.RegisterSchema(topic+"-value", sr.Schema{Schema: `{"type":"record","name":"Order","fields":[{"name":"n","type":"int"}]}`, Type: sr.TypeAvro}); err != nil {
			t.Fatal(err)
		}
	}
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if user, password, _ := req.BasicAuth(); user != "app" || password != registryPassword {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	return r.URL(), func(n byte) []byte { return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), 2*n) }
}

const registryPassword = "registry-sesame"

// TestValuesWithSchemas, in each way of delivery, with what else stands in their way: a filter sees JSON, what cannot
// be read is a dead letter as it was, and what is made of records is framed.
func TestValuesWithSchemas(t *testing.T) {
	for _, way := range []string{"classic", "share", "transactions"} {
		t.Run(way, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "out", "dead")
			url, framed := registry(t, "in", "out")
			var got kept
			newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
				outcomes := make([]record.Outcome, len(batch))
				for i, r := range batch {
					got.add(string(r.Value))
					made := record.Outgoing{Topic: "out", Partition: record.AnyPartition, Value: r.Value}
					if string(r.Value) == `{"n":3}` {
						made.Value = []byte(`{"n":"three"}`)
					}
					outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{made}}
				}
				return outcomes
			})
			p := b.start()
			config := b.config("in", "filter", `value.n != 2`, "dead_letter_topic", "dead", "schema_registry", url,
				"schema_registry_username", "app", "schema_registry_password", registryPassword)
			if way == "share" {
				config["group_protocol"] = "share"
			} else if way == "transactions" {
				config["transactions"] = "true"
			}
			b.host.PutLink(recordsLink("kafka", "echo", "processor", config))
			p.WaitHealthy()
			for n := range byte(5) {
				b.kc.Produce(&kgo.Record{Topic: "in", Key: []byte("k"), Value: framed(n)})
			}
			b.kc.Produce(&kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte("no frame")})
			var want, letters []string
			for _, n := range []byte{0, 1, 4} {
				want = append(want, string(framed(n)))
			}
			if out := values(b.kc.Read("out", 3)); !slices.Equal(out, want) {
				t.Errorf("the outputs are %q, want %q", out, want)
			}
			letters = []string{string(framed(3)), "no frame"}
			slices.Sort(letters)
			if dead := values(b.kc.Read("dead", 2)); !slices.Equal(dead, letters) {
				t.Errorf("the dead letters are %q, want %q", dead, letters)
			}
			bodies := slices.Compact(got.sorted())
			if !slices.Equal(bodies, []string{`{"n":0}`, `{"n":1}`, `{"n":3}`, `{"n":4}`}) {
				t.Errorf("the component got %q", bodies)
			}
		})
	}
}

// TestAnAnswerIsWrittenByItsSchema: a component of wasmcloud:messaging publishes and answers JSON.
func TestAnAnswerIsWrittenByItsSchema(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	url, framed := registry(t, "in", "in.reply")
	errs := make(chan error, 2)
	handler := func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
		errs <- c.Publish(ctx, testkit.Message{Subject: *call.ReplyTo, Body: []byte(`{"n":"no"}`)})
		err := c.Publish(ctx, testkit.Message{Subject: *call.ReplyTo, Body: call.Body})
		errs <- err
		return err
	}
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: handler})
	p := b.start()
	config := b.config("in", "schema_registry", url, "schema_registry_username", "app",
		"schema_registry_password", registryPassword)
	b.host.PutLink(testkit.TargetLink("echo", "kafka", config))
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Value: framed(7)})
	if err := <-errs; err == nil || !strings.Contains(err.Error(), "n: it is a string and should be a whole number") {
		t.Errorf("what does not fit its schema: %v", err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	if answer := b.kc.Read("in.reply", 1)[0]; string(answer.Value) != string(framed(7)) {
		t.Errorf("the answer is %x, want %x", answer.Value, framed(7))
	}
}
