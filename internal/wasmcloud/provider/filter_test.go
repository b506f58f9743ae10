package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// kept keeps the bodies that a component gets.
type kept struct {
	mu     sync.Mutex
	bodies []string
}

func (k *kept) add(body string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bodies = append(k.bodies, body)
}

func (k *kept) sorted() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	bodies := slices.Clone(k.bodies)
	slices.Sort(bodies)
	return bodies
}

// orders are records that a filter tells apart.
func orders(topic string) []*kgo.Record {
	return []*kgo.Record{
		{Topic: topic, Key: []byte("k"), Value: []byte(`{"n":1,"amount":50}`), Headers: kafkaHeaders("type", "created")},
		{Topic: topic, Key: []byte("k"), Value: []byte(`{"n":2,"amount":150}`), Headers: kafkaHeaders("type", "created")},
		{Topic: topic, Key: []byte("k"), Value: []byte(`{"n":3,"amount":250}`), Headers: kafkaHeaders("type", "deleted")},
		{Topic: topic, Key: []byte("k"), Value: []byte(`no JSON`), Headers: kafkaHeaders("type", "created")},
		{Topic: topic, Key: []byte("k"), Headers: kafkaHeaders("type", "created")},
		{Topic: topic, Key: []byte("k"), Value: []byte(`{"n":4,"amount":350}`), Headers: kafkaHeaders("type", "created")},
	}
}

const large = `headers.type == "created" && value != null && value.amount > 100`

func TestAFilterKeepsRecordsFromTheComponent(t *testing.T) {
	for onError, want := range map[string][]string{
		"deliver": {"no JSON", `{"n":2,"amount":150}`, `{"n":4,"amount":350}`},
		"skip":    {`{"n":2,"amount":150}`, `{"n":4,"amount":350}`},
		"reject":  {`{"n":2,"amount":150}`, `{"n":4,"amount":350}`},
	} {
		for _, protocol := range []string{"classic", "share"} {
			t.Run(onError+" "+protocol, func(t *testing.T) {
				b := newBench(t)
				b.topics("in", "dead")
				var got kept
				handler := func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
					got.add(string(call.Body))
					return nil
				}
				testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: handler})
				p := b.start()
				b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", "filter", large, "on_filter_error", onError,
					"dead_letter_topic", "dead", "group_protocol", protocol)))
				p.WaitHealthy()
				b.kc.Produce(orders("in")...)
				slices.Sort(want)
				failed := 1.0
				skipped := 6 - float64(len(want)) // no call is made for it, whatever becomes of it then
				filtered := skipped
				if onError == "reject" {
					filtered--
					letter := b.kc.Read("dead", 1)[0]
					if string(letter.Value) != "no JSON" {
						t.Errorf("the dead letter is %q", letter.Value)
					}
				}
				b.awaitStatus(func(s *status.Provider) error {
					c := linkOf(s, "echo/default (as source)").Counters
					if c.Deliveries["done"] != float64(len(want)) || c.Deliveries["skipped"] != skipped || c.Failures() != 0 ||
						c.Filtered != filtered || c.FilterFailures != failed {
						return fmt.Errorf("counted are %+v, want %v filtered", c, filtered)
					}
					return nil
				})
				if protocol == "classic" {
					b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
				}
				if bodies := got.sorted(); !slices.Equal(bodies, want) {
					t.Errorf("the component got %q, want %q", bodies, want)
				}
			})
		}
	}
}

// TestABatchHasWhatTheFilterMatches, with transactions: the offsets of what was filtered are committed with the
// outputs.
func TestABatchHasWhatTheFilterMatches(t *testing.T) {
	b := newBench(t)
	b.topics("in", "out", "dead")
	var got kept
	newRecordsComponent(t, b.nats, "echo", func(batch []*record.Record) []record.Outcome {
		outcomes := make([]record.Outcome, len(batch))
		for i, r := range batch {
			got.add(string(r.Value))
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{
				{Topic: "out", Partition: record.AnyPartition, Value: r.Value},
			}}
		}
		return outcomes
	})
	p := b.start()
	b.host.PutLink(recordsLink("kafka", "echo", "processor", b.config("in", "filter", `int(value) % 10 == 3`, "transactions", "true", "dead_letter_topic", "dead")))
	p.WaitHealthy()
	const n = 500
	var want []string
	for i := range n {
		if i%10 == 3 {
			want = append(want, fmt.Sprint(i))
		}
		b.kc.Produce(&kgo.Record{Topic: "in", Key: fmt.Append(nil, i%7), Value: fmt.Append(nil, i)})
	}
	slices.Sort(want)
	if out := values(b.kc.Read("out", n/10)); !slices.Equal(out, want) {
		t.Errorf("the outputs are %q", out)
	}
	b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
	if bodies := got.sorted(); !slices.Equal(bodies, want) {
		t.Errorf("the component got %q", bodies)
	}
	b.awaitStatus(func(s *status.Provider) error {
		if c := linkOf(s, "echo/default (messaging-kafka:records) (as source)").Counters; c.Filtered != n-n/10 {
			return fmt.Errorf("%v were filtered", c.Filtered)
		}
		return nil
	})
}

// TestARecordOfARetryTopicIsFilteredAsWhatItWas: by its topic, place, time and headers of before.
func TestARecordOfARetryTopicIsFilteredAsWhatItWas(t *testing.T) {
	b := newBench(t)
	b.topics("in", "dead")
	var got kept
	handler := func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
		got.add(string(call.Body))
		return errors.New("no")
	}
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: handler})
	p := b.start()
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", "create_topics", "true",
		"dead_letter_topic", "dead", "retry_topics", "100ms",
		"filter", `topic == "in" && offset == 0 && size(headers) == 0 && timestamp < timestamp("2020-01-01T00:00:00Z") && value.a == 1`,
		"on_filter_error", "skip")))
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(`{"a":1}`),
		Timestamp: time.UnixMilli(1_500_000_000_000)})
	b.kc.Read("dead", 1)
	if bodies := got.sorted(); !slices.Equal(bodies, []string{`{"a":1}`, `{"a":1}`}) {
		t.Errorf("the component got %q", bodies)
	}
}

func TestALinkWithAWrongFilterIsRefusedWithThePlace(t *testing.T) {
	b := newBench(t)
	b.topics("in")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	b.start()
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", "filter", `value.a == 1 && hedaers.x == "1"`)))
	b.awaitStatus(func(s *status.Provider) error {
		l := linkOf(s, "echo/default (as source)")
		if !strings.Contains(l.Reason, "filter: the value is not an expression of CEL, at line 1, column 17: undeclared reference to 'hedaers' (did you mean 'headers'?)") {
			return errors.New(l.Reason)
		}
		return nil
	})
	// It is mended without a restart.
	b.host.DeleteLink(testkit.SourceLink("kafka", "echo", nil))
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", "filter", `value.a == 1 && headers.x == "1"`)))
	b.awaitStatus(func(s *status.Provider) error {
		if l := linkOf(s, "echo/default (as source)"); l.State != status.Healthy {
			return errors.New(l.Reason)
		}
		return nil
	})
}
