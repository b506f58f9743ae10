//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// notUTF8 is in no text.
var notUTF8 = []byte{0xff, 0, 'a', 0xc3}

// everyField returns records for a topic that differ from each other in all that a producer can give a record.
func everyField(topic string) []*kgo.Record {
	at := time.UnixMilli(1_700_000_000_123)
	mib := 1 << 20
	var hundred []kgo.RecordHeader
	for i := range 100 {
		hundred = append(hundred, kgo.RecordHeader{Key: fmt.Sprint("h", i%7), Value: fmt.Append(nil, i)})
	}
	records := []*kgo.Record{
		{Key: []byte("key"), Value: []byte("value")},
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("tombstone")},
		{Value: []byte("without a key")},
		{Key: []byte{}},
		{Key: notUTF8, Value: notUTF8},
		{Key: []byte("Schlüssel"), Value: []byte("値\x00🎈\u2028")},
		{Key: []byte("1 MiB of text"), Value: bytes.Repeat([]byte("0123456789abcdef"), mib/16)},
		{Key: []byte("1 MiB of bytes"), Value: bytes.Repeat(notUTF8, mib/4)},
		{Key: []byte("the first moment"), Timestamp: time.UnixMilli(0)},
		{Key: []byte("headers"), Headers: []kgo.RecordHeader{
			{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte("3")}, {Key: "b", Value: []byte("1")},
			{Key: "null"}, {Key: "empty", Value: []byte{}}, {Key: "bytes", Value: notUTF8}, {Key: "", Value: []byte("no name")}, {Key: "größe", Value: []byte("ß")},
		}},
		{Key: []byte("a hundred headers"), Value: []byte("x"), Headers: hundred},
	}
	for i, r := range records {
		r.Topic = topic
		if r.Timestamp.IsZero() {
			r.Timestamp = at.Add(time.Duration(i) * time.Millisecond)
		}
	}
	return records
}

func TestWholeRecordsGoThroughKafkaAndARealComponent(t *testing.T) {
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}), testkit.HostOptions{Lattice: "whole"})
	s.component("records", "records-echo")
	s.component("echo", "echo")
	s.fromComponent("records", "request_reply_topic", "whole.answers")
	s.topics("whole.answers")

	t.Run("every field comes back from a processor as it was", func(t *testing.T) {
		s.topics("fields.in", "fields.in.out")
		sent := everyField("fields.in")
		s.kafka.Produce(sent...)
		s.toProcessor("records", "fields", "fields.in")
		checkSame(t, s.kafka.Read("fields.in.out", len(sent)), sent)
		s.drained("records", "fields", "fields.in")
	})
	t.Run("every field comes back where bytes travel as base64", func(t *testing.T) {
		s.topics("base64.in", "base64.in.out")
		sent := everyField("base64.in")
		s.kafka.Produce(sent...)
		s.toProcessor("records", "base64", "base64.in", "binary", "base64")
		checkSame(t, s.kafka.Read("base64.in.out", len(sent)), sent)
		s.drained("records", "base64", "base64.in")
	})
	t.Run("a header's name that is no UTF-8 is told by U+FFFD", func(t *testing.T) {
		s.topics("names.in", "names.in.out")
		sent := &kgo.Record{Topic: "names.in", Timestamp: time.UnixMilli(1_700_000_000_000),
			Headers: []kgo.RecordHeader{{Key: "a\xff", Value: []byte("1")}}}
		s.kafka.Produce(sent)
		s.toProcessor("records", "names", "names.in")
		want := *sent
		want.Headers = []kgo.RecordHeader{{Key: "a\uFFFD", Value: []byte("1")}}
		checkSame(t, s.kafka.Read("names.in.out", 1), []*kgo.Record{&want})
	})
	t.Run("every field is sent as a handler has it", func(t *testing.T) {
		s.topics("sends.in", "sends.out")
		sent := everyField("sends.in")
		for _, r := range sent {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "send-to", Value: []byte("sends.out")})
		}
		s.kafka.Produce(sent...)
		s.toHandler("records", "sends", "sends.in")
		checkSame(t, s.kafka.Read("sends.out", len(sent)), sent)
		s.drained("records", "sends", "sends.in")
	})
	t.Run("a component sees where a record is from", func(t *testing.T) {
		s.kafka.Topic("places.in", 3, nil)
		s.topics("places.in.out")
		var sent []*kgo.Record
		for i := range 30 {
			sent = append(sent, &kgo.Record{Topic: "places.in", Key: fmt.Append(nil, i), Value: []byte("!describe"),
				Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i))})
		}
		s.kafka.Produce(sent...)
		s.toProcessor("records", "places", "places.in")
		var want []string
		partitions := make(map[int32]bool)
		for _, r := range sent {
			partitions[r.Partition] = true
			want = append(want, fmt.Sprintf("topic places.in partition %d offset %d timestamp %d attempt 1", r.Partition,
				r.Offset, r.Timestamp.UnixMilli()))
		}
		got := values(s.kafka.Read("places.in.out", len(sent)))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(partitions) != 3 {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	})
	t.Run("a component is told where its records were stored", func(t *testing.T) {
		s.topics("stored.in", "stored.in.out")
		s.kafka.Topic("stored.to", 3, nil)
		var sent []*kgo.Record
		for i := range 20 {
			sent = append(sent, &kgo.Record{Topic: "stored.in", Key: fmt.Append(nil, i),
				Value: fmt.Appendf(nil, "!where:stored.to:%d", i)})
		}
		s.kafka.Produce(sent...)
		s.toHandler("records", "stored", "stored.in")
		told := values(s.kafka.Read("stored.in.out", len(sent)))
		var want []string
		for _, r := range s.kafka.Read("stored.to", len(sent)) {
			want = append(want, fmt.Sprintf("topic stored.to partition %d offset %d", r.Partition, r.Offset))
		}
		slices.Sort(told)
		slices.Sort(want)
		if !slices.Equal(told, want) {
			t.Errorf("the component was told\n%q, and\n%q is where they are", told, want)
		}
	})
	t.Run("an answer comes back whole", func(t *testing.T) {
		s.topics("asks.in", "asks.in.out", "asks.questions")
		s.toHandler("records", "asks", "asks.in")
		s.kafka.ProduceText("asks.in", "!request:asks.questions:why")
		question := s.kafka.Read("asks.questions", 1)[0]
		correlation, _ := headerOf(question, "kafka_correlationId")
		if to, _ := headerOf(question, "kafka_replyTopic"); to != "whole.answers" || string(question.Value) != "why" {
			t.Fatalf("the question is %s", describe(question))
		}
		answer := &kgo.Record{Topic: "whole.answers", Key: notUTF8, Value: []byte{},
			Timestamp: time.UnixMilli(1_700_000_000_000), Headers: []kgo.RecordHeader{
				{Key: "a", Value: []byte("1")}, {Key: "kafka_correlationId", Value: []byte(correlation)}, {Key: "a"}, {Key: "a", Value: notUTF8},
			}}
		s.kafka.Produce(answer)
		checkSame(t, s.kafka.Read("asks.in.out", 1), []*kgo.Record{answer})
	})
	t.Run("a component of the other package answers", func(t *testing.T) {
		s.topics("mixed.in", "mixed.in.out", "mixed.questions")
		questions := s.link(testkit.ControlLink{Source: "echo", Target: providerID, Interface: "consumer"}, "topic",
			"mixed.questions", "reply_topics_from_records", "whole.answers")
		defer s.host.DeleteLink(questions)
		s.toHandler("records", "mixed", "mixed.in")
		s.kafka.ProduceText("mixed.in", "!request:mixed.questions:echo this")
		if got := s.kafka.Read("mixed.in.out", 1)[0]; string(got.Value) != "echo this" {
			t.Errorf("the answer is %s", describe(got))
		}
	})
	t.Run("a batch with a reject and retries in the middle", func(t *testing.T) { verdicts(t, s) })
	t.Run("a batch of 6 MiB crosses the lattice in many messages", func(t *testing.T) { largeBatch(t, s) })
	t.Run("a component of each package reads one topic", func(t *testing.T) {
		const n = 500
		s.kafka.Topic("shared.in", 3, nil)
		s.topics("shared.in.out", "shared.in.reply")
		s.toProcessor("records", "shared", "shared.in")
		s.link(testkit.ControlLink{Source: "echo", Target: providerID, Interface: "consumer"}, "topic", "shared.in")
		var sent []*kgo.Record
		for i := range n {
			sent = append(sent, &kgo.Record{Topic: "shared.in", Key: fmt.Append(nil, i), Value: fmt.Append(nil, "record ", i),
				Timestamp: time.UnixMilli(1_700_000_000_000)})
		}
		s.kafka.Produce(sent...)
		checkSame(t, s.kafka.Read("shared.in.out", n), sent)
		want, got := values(sent), values(s.kafka.Read("shared.in.reply", n))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d records came back from the component on wasmcloud:messaging, and others than %d that were sent",
				len(got), n)
		}
		s.drained("records", "shared", "shared.in")
		s.drained("echo", "default", "shared.in")
		for _, topic := range []string{"shared.in.out", "shared.in.reply"} {
			if end := s.kafka.EndOffsets(topic)[0]; end != n {
				t.Errorf("%s holds %d records, want %d", topic, end, n)
			}
		}
	})
	s.host.WaitHealthy(providerID)
}

func verdicts(t *testing.T, s *stack) {
	s.topics("verdicts.in", "verdicts.in.out", "verdicts.dead")
	record := func(key, value string) *kgo.Record {
		return &kgo.Record{Topic: "verdicts.in", Key: []byte(key), Value: []byte(value)}
	}
	// Of one key: the first two come again, and with them what is behind.
	s.kafka.Produce(
		record("a", "first"), record("b", "!reject:no use"), record("c", "!until:3:!describe"), record("c", "!describe"),
		record("d", "second"), record("c", "third"), record("a", "fourth"), record("b", "fifth"),
	)
	s.toProcessor("records", "verdicts", "verdicts.in", "dead_letter_topic", "verdicts.dead")
	const from = "topic verdicts.in partition 0 offset "
	got := make(map[string][]string)
	attempts := make(map[string]string)
	for _, r := range s.kafka.Read("verdicts.in.out", 7) {
		value := string(r.Value)
		if where, ok := strings.CutPrefix(value, from); ok {
			value = where[:1]
			attempts[value] = where[strings.LastIndex(where, " ")+1:]
		}
		got[string(r.Key)] = append(got[string(r.Key)], value)
	}
	for key, want := range map[string][]string{"a": {"first", "fourth"}, "b": {"fifth"}, "c": {"2", "3", "third"},
		"d": {"second"}} {
		if !slices.Equal(got[key], want) {
			t.Errorf("of key %s came %q, want %q", key, got[key], want)
		}
	}
	// That a record was held for another one's failure is none of its own attempts.
	if attempts["2"] != "3" || attempts["3"] != "1" {
		t.Errorf("at last came the record that was to be retried with attempt %s and the one behind it with %s, want 3 and 1",
			attempts["2"], attempts["3"])
	}
	letter := s.kafka.Read("verdicts.dead", 1)[0]
	if reason, _ := headerOf(letter, "kafka_dlt-exception-message"); string(letter.Key) != "b" ||
		string(letter.Value) != "!reject:no use" || reason != "no use" {
		t.Errorf("the dead letter is %s", describe(letter))
	}
	s.drained("records", "verdicts", "verdicts.in")
	if ends := []int64{s.kafka.EndOffsets("verdicts.in.out")[0],
		s.kafka.EndOffsets("verdicts.dead")[0]}; !slices.Equal(ends, []int64{7, 1}) {
		t.Errorf("there are %v outputs and dead letters, want 7 and 1", ends)
	}
}

func largeBatch(t *testing.T, s *stack) {
	s.topics("large.in", "large.in.out")
	s.toProcessor("records", "large", "large.in", "max_in_flight", "1", "batch_max_bytes", "8MiB", "batch_max_wait", "1m",
		"order", "none")
	pinned(t, s.kafka, s.group("records", "large"), "large.in", 1)
	text, notText := bytes.Repeat([]byte("0123"), 1<<20/4), bytes.Repeat(notUTF8, 1<<20/4)
	large := s.overhear(256 << 10)
	// While the component is busy with the first record, the others wait for each other.
	s.kafka.ProduceText("large.in", "!sleep:3000:woken")
	var records []*kgo.Record
	for _, value := range [][]byte{text, text, text, notText, notText, notText, []byte("!batch")} {
		records = append(records, &kgo.Record{Topic: "large.in", Value: value})
	}
	s.kafka.Produce(records...)
	whole, batch := 0, ""
	for _, r := range s.kafka.Read("large.in.out", 1+len(records)) {
		switch {
		case bytes.Equal(r.Value, text), bytes.Equal(r.Value, notText):
			whole++
		case strings.HasSuffix(string(r.Value), " bytes"):
			batch = string(r.Value)
		}
	}
	if want := fmt.Sprintf("%d records, %d bytes", len(records), 6<<20+len("!batch")); batch != want {
		t.Errorf("the batch had %s, want %s", batch, want)
	}
	if whole != 6 {
		t.Errorf("%d of 6 values came back as they were", whole)
	}
	// There and back, in messages of at most 1 MiB.
	if n := large.Load(); n < 12 {
		t.Errorf("%d large messages were seen, want 12 at least", n)
	}
}
