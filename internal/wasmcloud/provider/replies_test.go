package provider

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// strange is a record of somebody who wants its answer in a topic.
func strange(topic, value, answerTo string, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: 0, Key: []byte("k"), Value: []byte(value),
		Headers: append(headers, kgo.RecordHeader{Key: "kafka_replyTopic", Value: []byte(answerTo)})}
}

func correlation(id string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: "kafka_correlationId", Value: []byte(id)}
}

// passedOn is a component that publishes each message to its reply-to and gives errors of that on as its own. It notes
// the reply-tos.
type passedOn struct {
	mu  sync.Mutex
	got map[string]string // reply-to by body
}

func (p *passedOn) handle(ctx context.Context, c *testkit.Component, call testkit.Call) error {
	to := "none"
	if call.ReplyTo != nil {
		to = *call.ReplyTo
	}
	p.mu.Lock()
	if p.got == nil {
		p.got = make(map[string]string)
	}
	p.got[string(call.Body)] = to
	p.mu.Unlock()
	return testkit.Echo(ctx, c, call)
}

func (p *passedOn) replyTo(body string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[body]
}

func TestAStrangersReplyTopicIsNotBelieved(t *testing.T) {
	for name, test := range map[string]struct {
		config  []string
		askFor  string
		offered string // of the stranger's record; "none" where there is no reply-to
	}{
		"by default":                       {nil, "vault", "in.reply"},
		"without a reply topic":            {[]string{"reply_topic", "none"}, "vault", "none"},
		"where topics may be created":      {[]string{"create_topics", "true"}, "nowhere", "in.reply"},
		"where allowed_topics is another":  {[]string{"allowed_topics", "in.reply"}, "vault", "in.reply"},
		"where another one is believed":    {[]string{"reply_topics_from_records", "answers.*"}, "vault", "in.reply"},
		"where it is, but allowed is not":  {[]string{"reply_topics_from_records", "vault", "allowed_topics", "in.reply"}, "vault", "in.reply"},
		"where none is, but it is allowed": {[]string{"reply_topics_from_records", "none", "allowed_topics", "in.reply,vault"}, "vault", "in.reply"},
		"as an envelope":                   {[]string{"payload", "envelope"}, "vault", "in.reply"},
		"the input itself":                 {nil, "in", "in.reply"},
		"the link's own":                   {nil, "in.reply", "in.reply?correlation=6964"},
		"one that is believed":             {[]string{"reply_topics_from_records", "v*"}, "vault", "vault?correlation=6964"},
		"one that is allowed":              {[]string{"allowed_topics", "in.reply,v?ult"}, "vault", "vault?correlation=6964"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply", "vault")
			seen := make(chan string, 100)
			testkit.NewComponent(t, b.nats,
				testkit.ComponentOptions{Handler: func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
					to := "none"
					if call.ReplyTo != nil {
						to = *call.ReplyTo
					}
					seen <- to
					return nil
				}})
			p := b.start()
			b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", test.config...)))
			p.WaitHealthy()
			b.kc.Produce(strange("in", "v", test.askFor, correlation("id")))
			if got := <-seen; got != test.offered {
				t.Errorf("the component is told to reply to %s, want %s", got, test.offered)
			}
		})
	}
}

func TestAnAnswerThatCannotBePublishedHoldsUpNobody(t *testing.T) {
	for name, test := range map[string]struct {
		config []string
		askFor string
		header kgo.RecordHeader
		why    string
	}{
		"to a topic that is not there": {[]string{"reply_topics_from_records", "*"}, "nowhere", correlation("id"), "does not exist"},
		"not even where topics may be created": {[]string{"reply_topics_from_records", "*", "create_topics", "true"},
			"nowhere",
			correlation("id"), "does not exist"},
		"without a correlation": {[]string{"reply_topics_from_records", "*", "create_topics", "true"}, "nowhere",
			kgo.RecordHeader{Key: "other"}, "does not exist"},
		"to a partition that is not there": {nil, "in.reply", kgo.RecordHeader{Key: "kafka_replyPartition", Value: []byte{0, 0, 0, 99}}, "no partition 99"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply", "dead")
			component := &passedOn{}
			testkit.NewComponent(t, b.nats, testkit.ComponentOptions{Handler: component.handle})
			p := b.start()
			b.host.PutLink(testkit.TargetLink("echo", "kafka",
				b.config("in", append(test.config, "dead_letter_topic", "dead", "max_attempts", "0")...)))
			p.WaitHealthy()
			b.kc.Produce(strange("in", "strange", test.askFor, test.header))
			b.kc.Produce(&kgo.Record{Topic: "in", Partition: 0, Key: []byte("k"), Value: []byte("honest")})
			if got := values(b.kc.Read("in.reply", 1)); got[0] != "honest" {
				t.Errorf("answered: %v", got)
			}
			dead := b.kc.Read("dead", 1)[0]
			if why := headerText(dead, "kafka_dlt-exception-message"); !strings.Contains(why, test.why) ||
				strings.HasPrefix(why, "reject:") {
				t.Errorf("the dead letter says %q", why)
			}
			if attempts := headerBytes(dead, "kafka_deliveryAttempt"); string(attempts) != "\x00\x00\x00\x01" {
				t.Errorf("it was delivered %x times", attempts)
			}
			if b.kafka.TopicInfo("nowhere") != nil {
				t.Error("a stranger had a topic created")
			}
			if to := component.replyTo("strange"); !strings.HasPrefix(to, test.askFor+"?correlation=") {
				t.Errorf("the component was told to reply to %s, so the test shows nothing", to)
			}
		})
	}
}

func TestARefusedAnswerIsFinalAndOtherRefusalsAreNot(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply", "vault")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "allowed_topics", "o*")))
	waitLinked(t, c)
	p.WaitHealthy()
	for subject, final := range map[string]bool{
		"vault?correlation=01": true, "vault?correlation=": true, "o?correlation=01": true, // not there
		"vault": false, "vault?partition=1": false,
		"in.reply?correlation=01": false, // the operator's: allowed_topics ought to have it
	} {
		err := c.Publish(t.Context(), testkit.Message{Subject: subject, Body: []byte("v")})
		var refused *testkit.ResultError
		if !errors.As(err, &refused) || strings.HasPrefix(refused.Text, "reject: publishing to ") != final {
			t.Errorf("%s: %v, want it to be final: %v", subject, err, final)
		}
	}
}

func TestAnAnswersOwnReplyTopicIsNotBelieved(t *testing.T) {
	b := newBench(t)
	b.topics("questions", "answers")
	asker := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "asker"})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("asker", "kafka", b.config("", "request_reply_topic", "answers")))
	p.WaitHealthy()
	go func() {
		question := b.kc.Read("questions", 1)[0]
		b.kc.Produce(strange("answers", "because", "vault",
			kgo.RecordHeader{Key: "kafka_correlationId", Value: headerBytes(question, "kafka_correlationId")}))
	}()
	m, err := asker.Request(t.Context(), "questions", []byte("why?"), testkit.DefaultTimeout)
	if err != nil || string(m.Body) != "because" || m.ReplyTo != nil {
		t.Errorf("answer %+v, %v", m, err)
	}
}

func headerBytes(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

func headerText(r *kgo.Record, key string) string { return string(headerBytes(r, key)) }
