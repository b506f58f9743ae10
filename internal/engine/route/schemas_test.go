package route

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const (
	registryAt  = "127.0.0.1:8081"
	orderSchema = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":"int","default":1}]}`
)

// registry is a schema registry on the network of a bench.
type registry struct {
	*srfake.Registry
	away atomic.Bool // it answers 503
	asks atomic.Int32
}

func (b *bench) registry() *registry {
	b.t.Helper()
	r := &registry{Registry: srfake.NewRegistry()}
	listener, err := b.net.stack.Listen("tcp", registryAt)
	if err != nil {
		b.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asks.Add(1)
		if r.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Handler().ServeHTTP(w, req)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	b.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return r
}

func (r *registry) register(t *testing.T, subject, text string) uint32 {
	t.Helper()
	id, _, err := r.RegisterSchema(subject, sr.Schema{Schema: text, Type: sr.TypeAvro})
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

// framed is an order, as a writer with the schema writes it.
func framed(id uint32, order string, n byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, id)
	return append(append(append(b, byte(2*len(order))), order...), 2*n)
}

func (b *bench) schemaConfig(topic string, more ...string) map[string]string {
	return b.config(topic, append([]string{"schema_registry", "http://" + registryAt}, more...)...)
}

func TestRecordsWithSchemasAreJSONForThePeer(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders", "made")
		r := b.registry()
		id, made := r.register(b.t, "orders-value", orderSchema), r.register(b.t, "made-value", orderSchema)
		got := make(chan payload.Message, 1)
		b.putWith(source(b.schemaConfig("orders", "payload", "envelope")), func(d Delivery) record.Receiver {
			return receiver(func(_ context.Context, batch []*record.Record) []record.Outcome {
				msg, _ := d.Form.Message(batch[0])
				got <- msg
				return record.Each(len(batch), record.Outcome{Kind: record.Done})
			})
		})
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(id, "a", 7),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/avro")}}})
		if body := string((<-got).Body); !strings.Contains(body, `"datacontenttype":"application/json","data":{"id":"a","n":7}}`) {
			t.Errorf("the body is %s", body)
		}

		out := b.put(target(b.schemaConfig("")))
		if err := out.Publish(b.t.Context(), nil, payload.Message{Subject: "made", Body: []byte(`{"id":"x"}`)}); err != nil {
			t.Fatal(err)
		}
		if value := b.kc.Read("made", 1)[0].Value; string(value) != string(framed(made, "x", 1)) {
			t.Errorf("%x was published, want %x", value, framed(made, "x", 1))
		}
		for body, want := range map[string]string{`{"n":2}`: "the field id is missing", ``: "it is empty, and no JSON", `{"id":"x","o":1}`: "has not"} {
			err := out.Publish(b.t.Context(), nil, payload.Message{Subject: "made", Body: []byte(body)})
			if produce.ClassOf(err) != produce.ClassInvalid || !strings.Contains(err.Error(), want) {
				t.Errorf("publishing %q: %v, want %q", body, err, want)
			}
		}
		results := out.Send(b.t.Context(), nil, []record.Outgoing{
			{Topic: "made", Partition: 0, Value: []byte("bad")}, {Topic: "made", Partition: 0, Value: []byte(`{"id":"y"}`)},
			{Topic: "orders", Partition: 0}, // a tombstone stays one
		})
		if results[0].Err == nil || results[1].Err != nil || results[2].Err != nil || results[1].Topic != "made" || results[2].Topic != "orders" {
			t.Errorf("a record between two others: %+v", results)
		}
	})
}

// A filter looks into what the schema makes of a value.
func TestAFilterLooksIntoValuesWithSchemas(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders")
		r := b.registry()
		id := r.register(b.t, "orders-value", orderSchema)
		got := make(chan string, 10)
		b.receive = func(_ string, r *record.Record) record.Outcome {
			got <- string(r.Value)
			return record.Outcome{Kind: record.Done}
		}
		config := b.schemaConfig("orders", "filter", `value.n == 7 && size == 8`, "on_filter_error", "skip")
		b.put(source(config))
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(id, "a", 6)}, &kgo.Record{Topic: "orders", Value: framed(id, "b", 7)})
		b.kc.WaitDrained(defaultGroup, "orders")
		if value := <-got; value != `{"id":"b","n":7}` || len(got) > 0 {
			t.Errorf("it got %s and %d more", value, len(got))
		}
	})
}

// A filter asks for no schema where it does not look into the value.
func TestAFilterThatDoesNotLookIntoValuesNeedsNoSchema(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders")
		r := b.registry()
		r.away.Store(true)
		var came atomic.Int64
		b.receive = func(string, *record.Record) record.Outcome {
			came.Add(1)
			return record.Outcome{Kind: record.Done}
		}
		b.put(source(b.schemaConfig("orders", "filter", `key == "x" && size == 8`)))
		for range 5 {
			b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(7, "c", 7)})
		}
		b.kc.WaitDrained(defaultGroup, "orders")
		if n := r.asks.Load(); n != 0 || came.Load() > 0 {
			t.Errorf("the registry was asked %d times, %d records came", n, came.Load())
		}
	})
}

// A registry that is away says nothing of a record, which waits for it and counts no attempt.
func TestARegistryThatIsAwayHoldsRecords(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders", "letters")
		r := b.registry()
		id := r.register(b.t, "orders-value", orderSchema)
		r.away.Store(true)
		attempts := make(chan int, 1)
		b.receive = func(_ string, r *record.Record) record.Outcome {
			attempts <- r.Attempt
			return record.Outcome{Kind: record.Done}
		}
		b.put(source(b.schemaConfig("orders", "max_attempts", "1", "dead_letter_topic", "letters")))
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(id, "a", 7)})
		said := ""
		b.awaitStatus(func(s *status.Provider) error {
			if len(s.Links) > 0 {
				said = s.Links[0].Problems.String()
			}
			return hasProblem(s, source(nil), status.ProblemSchemas, "the schemas of records cannot be had since ", "status 503")
		})
		testkit.InRunbook(b.t, "The schema registry cannot be asked", said)
		time.Sleep(time.Minute)
		select {
		case n := <-attempts:
			b.t.Fatalf("it is delivered, as attempt %d", n)
		default:
		}
		if n := r.asks.Load(); n > 40 {
			t.Errorf("the registry was asked %d times in a minute", n)
		}
		r.away.Store(false)
		if n := <-attempts; n != 1 {
			t.Errorf("it is delivered as attempt %d, want 1", n)
		}
		b.awaitStatus(func(s *status.Provider) error { return isWell(s, source(nil)) })
	})
}

func hasProblem(s *status.Provider, of link, kind status.ProblemKind, texts ...string) error {
	l := statusOf(s, of)
	if !l.Problems.Has(kind) {
		return fmt.Errorf("no problem %s: %v", kind, l.Problems)
	}
	for _, text := range texts {
		if !strings.Contains(l.Problems.String(), text) {
			return fmt.Errorf("%v does not say %q", l.Problems, text)
		}
	}
	return nil
}

func statusOf(s *status.Provider, of link) *status.Link {
	shown := status.Link{Component: of.id.Peer, Name: of.id.Name, Package: of.label.Package, Direction: of.label.Direction}
	return linkOf(s, shown.ID())
}

func isWell(s *status.Provider, of link) error {
	l := statusOf(s, of)
	if l.State != status.Healthy {
		return fmt.Errorf("%s: %v", l.State, l.Problems)
	}
	return nil
}

// A dead letter is the record as Kafka had it, whether it could not be read or was handed over as JSON and refused.
func TestDeadLettersAreWhatKafkaHad(t *testing.T) {
	for what, values := range map[string]func(id uint32) [][]byte{
		"it cannot be read": func(id uint32) [][]byte {
			return [][]byte{framed(id, "a", 7)[:6], framed(999, "a", 7), []byte("plain")}
		},
		"the peer rejects it":  func(id uint32) [][]byte { return [][]byte{framed(id, "bad", 7)} },
		"tombstones stay such": func(uint32) [][]byte { return [][]byte{nil} },
	} {
		t.Run(what, func(t *testing.T) {
			virtually(t, func(b *bench) {
				b.topics("orders", "letters")
				id := b.registry().register(b.t, "orders-value", orderSchema)
				calls := atomic.Int32{}
				b.receive = func(_ string, r *record.Record) record.Outcome {
					calls.Add(1)
					if r.Value == nil || string(r.Value) == `{"id":"bad","n":7}` {
						return record.Outcome{Kind: record.Reject, Err: errors.New("no good")}
					}
					t.Errorf("called with %q", r.Value)
					return record.Outcome{Kind: record.Done}
				}
				b.put(source(b.schemaConfig("orders", "dead_letter_topic", "letters")))
				want := map[string]bool{}
				for _, value := range values(id) {
					b.kc.Produce(&kgo.Record{Topic: "orders", Key: []byte("k"), Value: value})
					want[string(value)] = true
				}
				for _, letter := range b.kc.Read("letters", len(want)) {
					if !want[string(letter.Value)] || string(letter.Key) != "k" {
						t.Errorf("the letter of %q is %q", letter.Key, letter.Value)
					}
					reason := ""
					for _, h := range letter.Headers {
						if h.Key == consume.HeaderError {
							reason = string(h.Value)
						}
					}
					if calls.Load() == 0 && !strings.HasPrefix(reason, "value: ") && !strings.HasPrefix(reason, "the value ") {
						t.Errorf("the reason is %q", reason)
					}
				}
			})
		})
	}
}

// In a batch, a record that cannot be read is given up and the others are handed over.
func TestABatchGoesOnWithoutWhatCannotBeRead(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders", "letters")
		id := b.registry().register(b.t, "orders-value", orderSchema)
		count := b.count()
		b.put(handler(b.schemaConfig("orders", "dead_letter_topic", "letters", "batch_max_wait", "50ms")))
		var records []*kgo.Record
		for i := range 9 {
			value := framed(id, "a", 7)
			if i%3 == 1 {
				value = value[:6]
			}
			records = append(records, &kgo.Record{Topic: "orders", Partition: 0, Key: []byte("k"), Value: value})
		}
		b.kc.Produce(records...)
		count(map[string]int{"orders record": 6})
		b.kc.Read("letters", 3)
		b.kc.WaitDrained(defaultGroup, "orders")
	})
}

// What is made of records is framed; what does not fit its schema gives its record up.
func TestOutputsAreFramed(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders", "made", "letters")
		r := b.registry()
		id, made := r.register(b.t, "orders-value", orderSchema), r.register(b.t, "made-value", orderSchema)
		processor := link{ID{"echo", "default", "3"}, Label{role.RecordsPackage, status.Source}, role.Process,
			b.schemaConfig("orders", "dead_letter_topic", "letters", "handle_timeout", "10s")}
		b.receive = func(_ string, r *record.Record) record.Outcome {
			return record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{Topic: "made", Partition: record.AnyPartition, Value: r.Value},
				{Topic: "made", Partition: record.AnyPartition, Value: []byte(map[bool]string{true: `{}`, false: `{"id":"2"}`}[strings.Contains(string(r.Value), "bad")])}}}
		}
		b.put(processor)
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(id, "good", 3)}, &kgo.Record{Topic: "orders", Value: framed(id, "bad", 3)})
		values := map[string]bool{}
		for _, got := range b.kc.Read("made", 2) {
			values[string(got.Value)] = true
		}
		if !values[string(framed(made, "good", 3))] || !values[string(framed(made, "2", 1))] {
			t.Errorf("made are %v", values)
		}
		if letter := b.kc.Read("letters", 1)[0]; string(letter.Value) != string(framed(id, "bad", 3)) {
			t.Errorf("the letter is %x", letter.Value)
		}
	})
}

// Who publishes hears that the registry is away, health says so, and it ends when the registry is back, though nobody
// publishes.
func TestPublishesWithoutARegistry(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("made")
		r := b.registry()
		r.register(b.t, "made-value", orderSchema)
		r.away.Store(true)
		out := b.put(target(b.schemaConfig("")))
		err := out.Publish(b.t.Context(), nil, payload.Message{Subject: "made", Body: []byte(`{"id":"x"}`)})
		if produce.ClassOf(err) != produce.ClassUnavailable || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("publishing: %v", err)
		}
		b.awaitStatus(func(s *status.Provider) error {
			return hasProblem(s, target(nil), status.ProblemSchemas, "the schemas of records cannot be had since ", "status 503")
		})
		r.away.Store(false)
		b.awaitStatus(func(s *status.Provider) error { return isWell(s, target(nil)) })
		// What was known goes on being used.
		if err := out.Publish(b.t.Context(), nil, payload.Message{Subject: "made", Body: []byte(`{"id":"x"}`)}); err != nil {
			t.Error(err)
		}
		r.away.Store(true)
		time.Sleep(time.Hour)
		if err := out.Publish(b.t.Context(), nil, payload.Message{Subject: "made", Body: []byte(`{"id":"y"}`)}); err != nil {
			t.Errorf("with a registry that is away, and a schema that was known: %v", err)
		}
		b.kc.Read("made", 2)
	})
}

// The registry is asked with the credentials of the moment, and a change of these leaves the reading alone.
func TestCredentialsForARegistryAreExchanged(t *testing.T) {
	virtually(t, func(b *bench) {
		b.topics("orders")
		r := b.registry()
		id, second := r.register(b.t, "orders-value", orderSchema), r.register(b.t, "other-value", strings.Replace(orderSchema, "Order", "Other", 1))
		var shown atomic.Value
		r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			user, password, _ := req.BasicAuth()
			shown.Store(user + ":" + password)
			if user != "new" {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			return false
		})
		count := b.count()
		config := func(user string) map[string]string {
			return b.schemaConfig("orders", "schema_registry_username", user, "schema_registry_password", "pass-"+user)
		}
		b.put(source(config("old")))
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(id, "a", 1)})
		b.awaitStatus(func(s *status.Provider) error {
			return hasProblem(s, source(nil), status.ProblemSchemas, "status 401", "check schema_registry_username")
		})
		b.put(source(config("new")))
		count(map[string]int{"orders envelope": 1})
		b.kc.Produce(&kgo.Record{Topic: "orders", Value: framed(second, "a", 1)})
		count(map[string]int{"orders envelope": 2})
		if shown.Load() != "new:pass-new" {
			t.Errorf("%v was shown", shown.Load())
		}
		if n := strings.Count(b.log.String(), "credentials were replaced"); n != 1 {
			t.Errorf("credentials were replaced %d times, want once", n)
		}
	})
}
