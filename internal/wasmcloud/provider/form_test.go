package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// essence is what a record holds besides its place.
type essence struct {
	Key, Value []byte
	Headers    []kgo.RecordHeader
	Millis     int64
}

func essences(rs []*kgo.Record) []string {
	texts := make([]string, len(rs))
	for i, r := range rs {
		texts[i] = fmt.Sprintf("%#v", essence{r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli()})
	}
	slices.Sort(texts)
	return texts
}

func kafkaHeaders(pairs ...string) []kgo.RecordHeader {
	var list []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return list
}

func TestEnvelopesCarryWholeRecordsInAndOut(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	bodies := make(chan map[string]any, 10)
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
			var m map[string]any
			if err := json.Unmarshal(call.Body, &m); err != nil {
				return err
			}
			bodies <- m
			return testkit.Echo(ctx, c, call)
		}})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "payload", "envelope")))
	p.WaitHealthy()
	at := time.UnixMilli(1769860800123)
	sent := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("text"), Headers: append(kafkaHeaders("a", "1", "b", "", "a", "2", "c", "\xff\x00"), kgo.RecordHeader{Key: "null"})},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("gone"), Value: nil},
		{Value: []byte{0xff, 0, 0xfe}},
		{Key: []byte{0xff}, Value: []byte(` {"a": 1.50} `), Headers: kafkaHeaders("content-type", "application/json")},
		{Value: []byte(`{"a": 1.50}`), Headers: kafkaHeaders("ce_id", "1", "ce_source", "/s", "ce_type", "t", "ce_specversion", "1.0", "content-type", "application/json")},
	}
	for _, r := range sent {
		r.Topic, r.Timestamp = "in", at
	}
	b.kc.Produce(sent...)
	if got, want := essences(b.kc.Read("in.reply", len(sent))), essences(sent); !slices.Equal(got, want) {
		t.Errorf("came back\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	tombstones, events := 0, 0
	for range sent {
		m := <-bodies
		if m["kafkatopic"] != "in" || m["kafkaattempt"] != 1.0 || m["specversion"] != "1.0" {
			t.Errorf("envelope %v", m)
		}
		if m["kafkatombstone"] == true {
			tombstones++
			if m["kafkakey"] != "gone" {
				t.Errorf("tombstone %v", m)
			}
		}
		if m["source"] == "/s" {
			events++
		}
	}
	if tombstones != 1 || events != 1 {
		t.Errorf("%d tombstones and %d events, want one of each", tombstones, events)
	}
}

func TestATombstoneIsAnEmptyBodyByDefault(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Key: []byte("k")})
	if r := b.kc.Read("in.reply", 1)[0]; r.Value == nil || len(r.Value) != 0 {
		t.Errorf("an empty body was published as %v", r.Value)
	}
	if c.Calls() != 1 {
		t.Errorf("%d calls", c.Calls())
	}
}

func TestSkippedTombstonesAreFinishedWithoutACall(t *testing.T) {
	for _, payload := range []string{"raw", "envelope"} {
		t.Run(payload, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
			p := b.start()
			b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "payload", payload, "tombstones", "skip")))
			p.WaitHealthy()
			key := []byte("k")
			b.kc.Produce(&kgo.Record{Topic: "in", Key: key, Value: []byte("a")}, &kgo.Record{Topic: "in", Key: key},
				&kgo.Record{Topic: "in", Key: key, Value: []byte{}}, &kgo.Record{Topic: "in", Key: key})
			b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
			if got := values(b.kc.Read("in.reply", 2)); !slices.Equal(got, []string{"", "a"}) {
				t.Errorf("echoed %q", got)
			}
			if c.Calls() != 2 {
				t.Errorf("%d calls, want none for the tombstones", c.Calls())
			}
		})
	}
}

func TestASubjectNamesKeyAndHeaders(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("", "key_from", "subject", "allowed_topics", "out")))
	waitLinked(t, c)
	p.WaitHealthy()
	if err := c.Publish(t.Context(),
		testkit.Message{Subject: "out?key=a%00b&header.x=1&partition=2&header.x&correlation=00ff",
			Body: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	r := b.kc.Read("out", 1)[0]
	want := []kgo.RecordHeader{{Key: "x", Value: []byte("1")}, {Key: "x"},
		{Key: "kafka_correlationId", Value: []byte{0, 0xff}}}
	if string(r.Key) != "a\x00b" || string(r.Value) != "v" || r.Partition != 2 || !reflect.DeepEqual(r.Headers, want) {
		t.Errorf("published %+v", r)
	}
	mustRefuse(t, c.Publish(t.Context(), testkit.Message{Subject: "out?key=50%"}), "key", "not URL-encoded")
	mustRefuse(t, c.Publish(t.Context(), testkit.Message{Subject: "out?keys=1"}), `"keys"`)
	mustRefuse(t, c.Publish(t.Context(), testkit.Message{Subject: "other?key=k"}), "allowed_topics")
}

// waitLinked waits until the provider knows the link of a component that publishes: a put is not acknowledged, and a
// healthy provider may not have heard of it yet.
func waitLinked(t *testing.T, c *testkit.Component) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if err := c.Publish(t.Context(), testkit.Message{Subject: "?"}); err == nil ||
			strings.Contains(err.Error(), "no link named") {
			return fmt.Errorf("publishing to no topic: %w", err)
		}
		return nil
	})
}

// mustRefuse checks that a call ended with a result::err whose text has all the parts.
func mustRefuse(t *testing.T, err error, parts ...string) {
	t.Helper()
	var refused *testkit.ResultError
	if !errors.As(err, &refused) {
		t.Errorf("got %v, want result::err", err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(refused.Text, part) {
			t.Errorf("result::err(%q) does not have %q", refused.Text, part)
		}
	}
}

func TestAKeyInASubjectIsRefusedByDefaultAndTheSettingNamed(t *testing.T) {
	b := newBench(t)
	b.topics("out", "answers")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("", "request_reply_topic", "answers")))
	waitLinked(t, c)
	p.WaitHealthy()
	mustRefuse(t, c.Publish(t.Context(), testkit.Message{Subject: "out?key=k"}), "set key_from=subject")
	mustRefuse(t, c.Publish(t.Context(), testkit.Message{Subject: "out?partition=1&header.a=1"}), "set key_from=subject")
	_, err := c.Request(t.Context(), "out?key=k", nil, testkit.DefaultTimeout)
	mustRefuse(t, err, "set key_from=subject")
}

func TestAnEnvelopeThatIsNoneIsRefusedByItsField(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("", "payload", "envelope", "key_from", "subject")))
	waitLinked(t, c)
	p.WaitHealthy()
	publish := func(subject, body string) error {
		return c.Publish(t.Context(), testkit.Message{Subject: subject, Body: []byte(body)})
	}
	mustRefuse(t, publish("out", "hello"), "payload=envelope", "is not JSON")
	mustRefuse(t, publish("out", `{"kafkakey":"k"}`), "data: is missing")
	mustRefuse(t, publish("out", `{"data":1,"kafkaheaders":"[{}]"}`), "kafkaheaders: header 0")
	mustRefuse(t, publish("out?key=k", `{"data":1,"kafkakey":"k"}`), "both name a key")
	if err := publish("out?key=k&header.b=2",
		`{"data":1,"kafkaheaders":"[{\"key\":\"a\",\"value\":\"1\"}]","kafkapartition":1}`); err != nil {
		t.Fatal(err)
	}
	if err := publish("out?partition=2", `{"data":1,"kafkapartition":0}`); err != nil {
		t.Fatal(err)
	}
	all := b.kc.Read("out", 2)
	if i := slices.IndexFunc(all, func(r *kgo.Record) bool { return r.Key == nil }); i < 0 || all[i].Partition != 2 {
		t.Errorf("the partition of the subject does not count: %+v", all)
	}
	all = slices.DeleteFunc(all, func(r *kgo.Record) bool { return r.Key == nil })
	if r := all[0]; string(r.Key) != "k" || r.Partition != 1 ||
		!reflect.DeepEqual(r.Headers, kafkaHeaders("a", "1", "b", "2")) {
		t.Errorf("published %+v", r)
	}
}

func TestRequestsAndAnswersHaveEnvelopes(t *testing.T) {
	b := newBench(t)
	b.topics("questions", "answers")
	asker := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "asker"})
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{ID: "echo",
			Handler: func(ctx context.Context, c *testkit.Component, call testkit.Call) error {
				return c.Publish(ctx, testkit.Message{Subject: *call.ReplyTo + "&key=answer", Body: call.Body})
			}})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("asker", "kafka",
		b.config("", "request_reply_topic", "answers", "payload", "envelope")))
	b.host.PutLink(testkit.TargetLink("echo", "kafka",
		b.config("questions", "key_from", "subject", "reply_topics_from_records", "answers")))
	waitLinked(t, asker)
	p.WaitHealthy()
	m, err := asker.Request(t.Context(), "questions",
		[]byte(`{"kafkakey":"q","datacontenttype":"text/plain","data":"who?"}`), testkit.DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(m.Body, &answer); err != nil || answer["data"] != "who?" || answer["kafkakey"] != "answer" ||
		answer["kafkatopic"] != "answers" {
		t.Errorf("answer %s (%v)", m.Body, err)
	}
	if r := b.kc.Read("questions", 1)[0]; string(r.Key) != "q" || string(r.Value) != "who?" {
		t.Errorf("question %+v", r)
	}
}

func TestSettingsAboutMessagesAreNamedOnLinksOfRecords(t *testing.T) {
	b := newBench(t)
	b.topics("in")
	log := make(chan string, 1000)
	p := b.host.StartProvider(testkit.ProviderSpec{Run: func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		logger := slog.New(slog.NewTextHandler(lines(log), nil))
		return Run(ctx, data, Options{Logger: logger, IgnoreParent: true})
	}})
	p.WaitHealthy()
	b.host.PutLink(recordsLink("kafka", "batches", "handler", b.config("in", "payload", "envelope")))
	deadline := time.After(testkit.DefaultTimeout)
	for {
		select {
		case line := <-log:
			if strings.Contains(line, "setting=payload") && strings.Contains(line, "is not used") {
				return
			}
		case <-deadline:
			t.Fatal("the log does not say that payload is not used")
		}
	}
}

// lines passes a log on, and drops what nobody reads.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}
