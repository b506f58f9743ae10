//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// traceID is that of the nth trace.
func traceID(n int) string { return fmt.Sprintf("%032x", 0xabc0+n) }

// traced makes a record of the nth trace.
func traced(n int, topic, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte(value), Headers: []kgo.RecordHeader{
		{Key: "traceparent", Value: []byte("00-" + traceID(n) + "-00f067aa0ba902b7-01")}, {Key: "tracestate", Value: []byte("shop=eu")},
	}}
}

// traceOf returns the trace of a record: its id, and whether the tracestate came along.
func traceOf(r *kgo.Record) string {
	parent, _ := headerOf(r, "traceparent")
	state, _ := headerOf(r, "tracestate")
	parts := strings.Split(parent, "-")
	if len(parts) != 4 {
		return "none"
	}
	return parts[1] + " " + state
}

// In a host that makes spans, a trace goes from a record through the component to all that it makes of the record.
func TestATraceGoesThroughARealComponent(t *testing.T) {
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}), testkit.HostOptions{Lattice: "traces", Traces: true})
	s.component("records", "records-echo")
	s.component("echo", "echo")
	s.topics("t.handle", "t.process", "t.process.out", "t.messages", "t.messages.reply", "t.questions",
		"t.answers", "t.sent")
	s.fromComponent("records", "request_reply_topic", "t.answers")
	s.toHandler("records", "handle", "t.handle")
	s.toProcessor("records", "process", "t.process")

	for name, test := range map[string]struct {
		record *kgo.Record
		to     string // where what the component makes of it is found
	}{
		"what a handler sends":     {traced(1, "t.handle", "!bare:!send:t.sent:x"), "t.sent"},
		"what a processor returns": {traced(2, "t.process", "!bare:x"), "t.process.out"},
		"a request":                {traced(3, "t.handle", "!bare:!ask:2000:t.questions:x"), "t.questions"},
	} {
		t.Run(name, func(t *testing.T) {
			s.kafka.Produce(test.record)
			if got, want := traceOf(s.kafka.Read(test.to, 1)[0]), traceOf(test.record); got != want {
				t.Errorf("its trace is %s, want %s", got, want)
			}
		})
	}
	// This host begins a trace of its own where it calls a component of its own package, wasmcloud:messaging. What is
	// the provider's to do is to give it the record's, and to give the record that is published the one it gets.
	t.Run("a message that a handler publishes", func(t *testing.T) {
		calls := s.callHeaders()
		s.link(testkit.ControlLink{Source: "echo", Target: providerID, Interface: "consumer"}, "topic", "t.messages")
		record := traced(4, "t.messages", "x")
		s.kafka.Produce(record)
		published := s.kafka.Read("t.messages.reply", 1)[0]
		for call, r := range map[string]*kgo.Record{"handler@0.2.0.handle-message": record,
			"consumer@0.2.0.publish": published} {
			var got []string
			calls.Range(func(subject, parent any) bool {
				if strings.HasSuffix(subject.(string), call) {
					got = append(got, parent.(string))
				}
				return true
			})
			if want, _ := headerOf(r, "traceparent"); want == "" || !slices.Equal(got, []string{want}) {
				t.Errorf("the call of %s has the traceparent %q, and its record %q", call, got, want)
			}
		}
	})
}

// callHeaders collects the traceparent of each call on the lattice by its subject, until the test ends.
func (s *stack) callHeaders() *sync.Map {
	s.t.Helper()
	var calls sync.Map
	nc := s.nats.Connect()
	_, err := nc.Subscribe(s.host.Lattice()+".>", func(m *nats.Msg) {
		if parent := m.Header["traceparent"]; len(parent) > 0 {
			calls.Store(m.Subject, parent[0])
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &calls
}

// Hosts without spans do not tell the provider of which trace a call of a component is. What a processor returns needs
// no such word.
func TestATraceGoesThroughAProcessorInAHostWithoutSpans(t *testing.T) {
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}), testkit.HostOptions{Lattice: "untraced"})
	s.component("records", "records-echo")
	s.topics("u.process", "u.process.out", "u.handle", "u.sent")
	s.fromComponent("records")
	s.kafka.Produce(traced(1, "u.process", "!bare:x"), traced(2, "u.process", "!bare:!times:2:y"),
		&kgo.Record{Topic: "u.process", Value: []byte("z")})
	s.toProcessor("records", "process", "u.process")
	want := map[string]string{"x": traceID(1) + " shop=eu", "y": traceID(2) + " shop=eu", "z": "none"}
	for _, r := range s.kafka.Read("u.process.out", 4) {
		if got := traceOf(r); got != want[string(r.Value)] {
			t.Errorf("the trace of %s is %s, want %s", r.Value, got, want[string(r.Value)])
		}
	}
	s.kafka.Produce(traced(3, "u.handle", "!bare:!send:u.sent:x"))
	s.toHandler("records", "handle", "u.handle")
	if got := traceOf(s.kafka.Read("u.sent", 1)[0]); got != "none" {
		t.Errorf("such a host passes the trace %s on, which the documents deny", got)
	}
}
