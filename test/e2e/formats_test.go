//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// toMessages and fromMessages link a component of wasmcloud:messaging with the provider.
func (s *stack) toMessages(component, name, topic string, settings ...string) {
	s.t.Helper()
	s.link(testkit.ControlLink{Source: providerID, Target: component, Name: name, Interface: "handler"},
		append([]string{"topic", topic}, settings...)...)
}

func (s *stack) fromMessages(component string, settings ...string) {
	s.t.Helper()
	s.link(testkit.ControlLink{Source: component, Target: providerID, Interface: "consumer"}, settings...)
}

// What a component on plain wasmcloud:messaging can learn and say of whole records, by settings of its links.
func TestMessagesOfARealComponentHoldWholeRecords(t *testing.T) {
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}), testkit.HostOptions{Lattice: "formats"})
	for _, component := range []string{"enveloped", "seer", "named", "both", "plain"} {
		s.component(component, "echo")
	}

	t.Run("an envelope that is published as it was given is the same record", func(t *testing.T) {
		s.topics("envelopes", "envelopes.reply")
		sent := everyField("envelopes")
		sent = append(sent,
			&kgo.Record{Topic: "envelopes", Value: []byte(`{"n": 1.10}`), Timestamp: time.UnixMilli(1),
				Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/json")}}},
			&kgo.Record{Topic: "envelopes", Value: []byte("event"), Timestamp: time.UnixMilli(2), Headers: []kgo.RecordHeader{
				{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("7")}, {Key: "ce_source", Value: []byte("/shop")}, {Key: "ce_type", Value: []byte("order")},
			}},
		)
		s.kafka.Produce(sent...)
		s.fromMessages("enveloped", "topic", "envelopes", "payload", "envelope")
		checkSame(t, s.kafka.Read("envelopes.reply", len(sent)), sent)
		s.drained("enveloped", "default", "envelopes")
	})
	t.Run("an envelope says where a record is from", func(t *testing.T) {
		s.topics("seen", "seen.reply")
		r := &kgo.Record{Topic: "seen", Key: []byte("k"), Value: notUTF8, Timestamp: time.UnixMilli(1_700_000_000_123),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h"}}}
		s.kafka.Produce(&kgo.Record{Topic: "seen"}, r)
		s.fromMessages("seer")
		s.toMessages("seer", "seen", "seen", "payload", "envelope")
		envelopes := make(map[string]map[string]any)
		for _, text := range values(s.kafka.Read("seen.reply", 2)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
			envelopes[fmt.Sprint(e["kafkaoffset"])] = e
		}
		e := envelopes["1"]
		for member, want := range map[string]any{
			"specversion": "1.0", "source": "kafka:seen", "id": "seen/0/1", "kafkatopic": "seen", "kafkapartition": 0.,
			"kafkaattempt": 1., "kafkakey": "k",
			"kafkatimestamp": "2023-11-14T22:13:20.123Z", "kafkaheaders": `[{"key":"h","value":"1"},{"key":"h","value":null}]`,
			"kafkatombstone": false, "data_base64": "/wBhww==",
		} {
			if e[member] != want {
				t.Errorf("%s is %v, want %v", member, e[member], want)
			}
		}
		if tombstone := envelopes["0"]; tombstone["kafkatombstone"] != true || tombstone["data"] != nil {
			t.Errorf("the envelope of a tombstone is %v", tombstone)
		}
	})
	t.Run("a subject names key and headers, an envelope the rest", func(t *testing.T) {
		s.topics("named", "named.out", "named.dead")
		s.fromMessages("named", "key_from", "subject")
		s.toMessages("named", "named", "named", "dead_letter_topic", "named.dead", "max_attempts", "1")
		s.kafka.ProduceText("named",
			"!publish:named.out?key=customer-7%00&header.type=created&header.note=&header.old&header.type=%ff:a body",
			"!publish:named.out?key=:", "!publish:named.out?partition=0:", "!publish:named.out?colour=red:x")
		checkSame(t, withoutTime(s.kafka.Read("named.out", 3)), []*kgo.Record{
			{Key: []byte("customer-7\x00"), Value: []byte("a body"), Headers: []kgo.RecordHeader{
				{Key: "type", Value: []byte("created")}, {Key: "note", Value: []byte{}}, {Key: "old"}, {Key: "type", Value: []byte{0xff}},
			}},
			{Key: []byte{}, Value: []byte{}},
			{Value: []byte{}},
		})
		if reason, _ := headerOf(s.kafka.Read("named.dead", 1)[0],
			"kafka_dlt-exception-message"); !strings.Contains(reason, "colour") {
			t.Errorf("a part of the subject that means nothing is refused with %q", reason)
		}
	})
	t.Run("both at once, and requests", func(t *testing.T) {
		s.topics("both.in", "both.in.reply", "both.out", "both.dead", "both.questions", "both.answers")
		s.fromMessages("both", "key_from", "subject", "payload", "envelope", "request_reply_topic", "both.answers")
		// Answers a request with what it was asked.
		s.fromMessages("plain", "topic", "both.questions", "reply_topics_from_records", "both.answers")
		s.toMessages("both", "both", "both.in", "dead_letter_topic", "both.dead", "max_attempts", "1")
		s.kafka.ProduceText("both.in",
			`!publish:both.out?header.x=1:{"kafkakey":"k","kafkatombstone":true,"kafkatimestamp":"2023-11-14T22:13:20.123Z"}`,
			`!publish:both.out?key=s:{"data_base64":"/wA="}`,
			`!publish:both.out:{"kafkakye":"k","data":1}`,
			`!publish:both.out?key=s:{"kafkakey":"k","data":1}`,
			`!publish:both.out:no envelope`,
			`!request:both.questions?key=q&header.about=all:{"datacontenttype":"text/plain","data":"why"}`,
		)
		got := s.kafka.Read("both.out", 2)
		if at := got[0].Timestamp.UnixMilli(); at != 1_700_000_000_123 {
			t.Errorf("the timestamp is %d", at)
		}
		checkSame(t, withoutTime(got), []*kgo.Record{
			{Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("1")}}},
			{Key: []byte("s"), Value: []byte{0xff, 0}},
		})
		var reasons []string
		for _, r := range s.kafka.Read("both.dead", 3) {
			reason, _ := headerOf(r, "kafka_dlt-exception-message")
			reasons = append(reasons, reason)
		}
		for _, want := range []string{"kafkakye", "the subject and the envelope both name a key", "the body is no envelope"} {
			if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(reason, want) }) {
				t.Errorf("the component was told %q, want %q", reasons, want)
			}
		}
		question := s.kafka.Read("both.questions", 1)[0]
		if about, _ := headerOf(question, "about"); about != "all" || string(question.Key) != "q" ||
			string(question.Value) != "why" {
			t.Errorf("the question is %s", describe(question))
		}
		// What answered took the value as the body; the answer came back as an envelope, and was published as one.
		if answer := s.kafka.Read("both.in.reply", 1)[0]; string(answer.Value) != "why" {
			t.Errorf("the answer is %s", describe(answer))
		}
	})
	t.Run("what becomes of a tombstone", func(t *testing.T) {
		s.topics("empty", "empty.reply", "skip", "skip.reply")
		for _, topic := range []string{"empty", "skip"} {
			s.toMessages("seer", topic, topic, "tombstones", topic)
			s.kafka.Produce(&kgo.Record{Topic: topic, Value: []byte("before")}, &kgo.Record{Topic: topic, Key: []byte("k")},
				&kgo.Record{Topic: topic, Value: []byte("after")})
			s.drained("seer", topic, topic)
		}
		for topic, want := range map[string][]string{"empty.reply": {"", "after", "before"},
			"skip.reply": {"after", "before"}} {
			got := values(s.kafka.Read(topic, len(want)))
			slices.Sort(got)
			if !slices.Equal(got, want) || s.kafka.EndOffsets(topic)[0] != int64(len(want)) {
				t.Errorf("%s holds %q, want %q", topic, got, want)
			}
		}
	})
	s.host.WaitHealthy(providerID)
}

// withoutTime forgets the timestamps of records.
func withoutTime(records []*kgo.Record) []*kgo.Record {
	for _, r := range records {
		r.Timestamp = time.Time{}
	}
	return records
}
