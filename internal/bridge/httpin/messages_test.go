package httpin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// answering answers each request in a topic, until the test ends.
func (b *bench) answering(topic string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Brokers()...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				answer := &kgo.Record{Key: r.Key, Value: append([]byte("re: "), r.Value...)}
				for _, h := range r.Headers {
					switch h.Key {
					case record.ReplyTopicHeader:
						answer.Topic = string(h.Value)
					case record.CorrelationHeader:
						answer.Headers = append(answer.Headers, h)
					}
				}
				client.Produce(ctx, answer, nil)
			})
		}
	}()
	b.t.Cleanup(func() {
		cancel()
		<-over
		client.Close()
	})
}

func TestRequestsAreAnsweredOverKafka(t *testing.T) {
	topics := map[string]int32{"orders": 3, "answers": 1, "silent": 1}
	config := map[string]string{"request_reply_topic": "answers", "key_from": "subject", "publish_timeout": "5s"}
	b := newBenchWith(t, topics, config, func(o *Options) { o.Callers[0].AllowedTopics = []string{"orders", "silent"} })
	b.answering("orders")

	a := b.post("/v1/records/request?timeout-ms=20000", wit.RecordsType, string(wit.AppendOutgoing(nil, &record.Outgoing{Topic: "orders", Partition: -1, Key: []byte("k"), Value: []byte("v")})))
	got, failure, err := wit.DecodeAnswer(wit.NewBytesDecoder([]byte(a.body)))
	if err != nil || failure != nil || a.status != 200 || string(got.Value) != "re: v" || string(got.Key) != "k" || got.Topic != "answers" {
		t.Fatalf("answered %d %q: %v %v", a.status, a.body, failure, err)
	}
	a = b.post("/v1/records/request", wit.RecordsTypeJSON, `{"topic":"orders","value":{"text":"v"}}`)
	if a.status != 200 || !strings.HasPrefix(a.body, `{"ok":{"topic":"answers",`) || !strings.Contains(a.body, `"value":{"text":"re: v"}`) {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	a = b.post("/v1/messages/request?timeout-ms=20000", wit.MessagesType, string(wit.AppendBytes(wit.AppendString(nil, "orders?key=a"), []byte("m"))))
	d := wit.NewBytesDecoder([]byte(a.body))
	if ok, err := d.Result(); err != nil || !ok || a.status != 200 {
		t.Fatalf("answered %d %q", a.status, a.body)
	}
	if msg, err := wit.DecodeMessage(d); err != nil || string(msg.Body) != "re: m" || msg.Subject != "answers" {
		t.Errorf("the answer is %+v (%v)", msg, err)
	}
	a = b.post("/v1/messages/request", wit.MessagesTypeJSON, `{"subject":"orders","body":"bQ=="}`)
	if a.status != 200 || a.body != `{"ok":{"subject":"answers","body":"cmU6IG0="}}` {
		t.Errorf("answered %d %s", a.status, a.body)
	}

	// What is not answered, or may not be asked.
	for _, c := range []struct{ path, media, body, mention string }{
		{"/v1/records/request?timeout-ms=50", wit.RecordsTypeJSON, `{"topic":"silent","value":null}`, `{"error":{"code":"timed-out"`},
		{"/v1/records/request", wit.RecordsTypeJSON, `{"topic":"bank","value":null}`, `{"error":{"code":"not-authorised","message":"caller shop`},
		{"/v1/records/request", wit.RecordsTypeJSON, `{"topic":"orders?partition=77&correlation=","value":null}`, `{"error":{"code":"`},
		{"/v1/messages/request?timeout-ms=50", wit.MessagesTypeJSON, `{"subject":"silent","body":""}`, `{"error":"`},
		{"/v1/messages/request", wit.MessagesTypeJSON, `{"subject":"bank?key=orders","body":""}`, `{"error":"not-authorised: caller shop`},
	} {
		if a := b.post(c.path, c.media, c.body); a.status != 200 || !strings.HasPrefix(a.body, c.mention) {
			t.Errorf("%s: %d %s, want %s", c.path, a.status, a.body, c.mention)
		}
	}
	b.post("/v1/messages/request", wit.MessagesTypeJSON, `{"subject":"orders","body":"","reply-to":"x"}`).want(t, 400, "reply-to")
	b.post("/v1/messages/request", wit.MessagesTypeJSON, `{"subject":"orders","body":"?"}`).want(t, 400, "")
	b.post("/v1/records/request?timeout-ms=0", wit.RecordsTypeJSON, `{"topic":"orders"}`).want(t, 400, "from 1 on")
	b.post("/v1/messages/request?timeout-ms=0", wit.MessagesTypeJSON, `{"subject":"orders","body":""}`).want(t, 400, "from 1 on")
	b.post("/v1/records/request?timeout-ms=-1", wit.RecordsTypeJSON, `{"topic":"orders"}`).want(t, 400, "milliseconds")
	b.post("/v1/records/request?timeout-ms=4294967296", wit.RecordsTypeJSON, `{"topic":"orders"}`).want(t, 400, "milliseconds")
	b.post("/v1/records/request?timeout=1", wit.RecordsTypeJSON, `{"topic":"orders"}`).want(t, 400, "timeout-ms")
}

func TestMessagesArePublished(t *testing.T) {
	b := newBench(t, map[string]string{"key_from": "subject", "publish_timeout": "5s"}, nil)
	reply := "answers?correlation=0a"
	a := b.post("/v1/messages/publish", wit.MessagesType, string(wit.AppendMessage(nil, payload.Message{Subject: "orders?key=k", Body: []byte{0xff}, ReplyTo: &reply})))
	if a.status != 200 || a.body != "\x00" || a.header.Get("Content-Type") != wit.MessagesType {
		t.Fatalf("answered %d %q", a.status, a.body)
	}
	a = b.post("/v1/messages/publish", wit.MessagesTypeJSON, `{"subject":"orders?key=k","body":"/w==","reply-to":"answers?correlation=0a"}`)
	if a.status != 200 || a.body != `{"ok":true}` {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	for _, r := range b.kc.Read("orders", 2) {
		if string(r.Key) != "k" || string(r.Value) != "\xff" || fmt.Sprint(r.Headers) != "[{kafka_replyTopic [97 110 115 119 101 114 115]} {kafka_correlationId [10]}]" {
			t.Errorf("stored %+v", r)
		}
	}
	a = b.post("/v1/messages/publish", wit.MessagesTypeJSON, `{"subject":"missing","body":""}`)
	var body struct{ Error string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != 200 || !strings.Contains(body.Error, "publishing to missing") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	// An answer that nobody can ever publish ends the delivery of whoever was asked.
	a = b.post("/v1/messages/publish", wit.MessagesTypeJSON, `{"subject":"answers!?correlation=0a","body":""}`)
	if a.status != 200 || !strings.HasPrefix(a.body, `{"error":"`) {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	b.post("/v1/messages/publish", wit.MessagesType, "").want(t, 400, "subject")
	b.post("/v1/messages/publish", wit.RecordsType, "").want(t, 415, wit.MessagesType)
}

func TestWhatCannotBeAnsweredIsSaidWithoutSecrets(t *testing.T) {
	s := &failing{err: errors.New("the password is hunter22")}
	b := newSunk(t, nil, func(o *Options) {
		o.Routes = func(string) (Sender, bool) { return s, true }
		o.Fit = func(text string) string { return strings.ReplaceAll(text, "hunter22", "…") }
	})
	for _, c := range []struct {
		path, media, body string
		status            int
	}{
		{"/topics/orders", "text/plain", "x", 500},
		{"/topics/orders", mediaText, `{"records":[{"value":"a"}]}`, 200},
		{"/v1/records/send", wit.RecordsTypeJSON, `[{"topic":"t"}]`, 200},
		{"/v1/records/send", wit.RecordsType, "\x01\x01t\x00\x00\x00\x00\x00", 200},
		{"/v1/records/request", wit.RecordsTypeJSON, `{"topic":"t"}`, 200},
		{"/v1/messages/publish", wit.MessagesTypeJSON, `{"subject":"t","body":""}`, 200},
		{"/v1/messages/request", wit.MessagesTypeJSON, `{"subject":"t","body":""}`, 200},
	} {
		a := b.post(c.path, c.media, c.body)
		if a.status != c.status || !strings.Contains(a.body, "the password is …") || strings.Contains(a.body, "hunter22") {
			t.Errorf("%s: %d %q", c.path, a.status, a.body)
		}
	}
	if strings.Contains(b.log.String(), "hunter22") {
		t.Error("the log has the secret")
	}
}

// failing is a route by which nothing goes.
type failing struct{ err error }

// Send implements Sender.
func (s *failing) Send(_ context.Context, _ map[string][]string, list []record.Outgoing) []record.Result {
	results := make([]record.Result, len(list))
	for i := range results {
		results[i].Err = s.err
	}
	return results
}

// Request implements Sender.
func (s *failing) Request(context.Context, map[string][]string, record.Outgoing, time.Duration) (*record.Record, error) {
	return nil, s.err
}

// Publish implements Sender.
func (s *failing) Publish(context.Context, map[string][]string, payload.Message) error { return s.err }

// RequestMessage implements Sender.
func (s *failing) RequestMessage(context.Context, map[string][]string, payload.Message, time.Duration) (payload.Message, error) {
	return payload.Message{}, s.err
}
