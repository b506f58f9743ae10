package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// inProcess runs the provider as the command does, inside the test.
func inProcess(t *testing.T) func(context.Context, io.Reader) error {
	return func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		return Run(ctx, data, Options{Logger: testkit.Logger(t), IgnoreParent: true})
	}
}

// bench is a lattice with a fake host, and a fake Kafka.
type bench struct {
	t     *testing.T
	nats  *testkit.NATSServer
	host  *testkit.FakeHost
	kafka *testkit.FakeKafka
	kc    *testkit.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, nats: testkit.NATS(t, testkit.NATSOptions{}), kafka: testkit.Kfake(t)}
	b.host = testkit.NewFakeHost(t, b.nats, testkit.FakeHostOptions{ShutdownDelay: patientHost})
	b.kc = testkit.NewClient(t, b.kafka.Brokers())
	return b
}

// patientHost is longer than a real host waits for the answer to a shutdown, since a test machine may be busy, and
// shorter than anything that a shutdown must not wait for.
const patientHost = 10 * time.Second

func (b *bench) topics(names ...string) {
	for _, n := range names {
		b.kafka.Topic(n, 3)
	}
}

// config is a link's config with a topic, as quick as tests want it.
func (b *bench) config(topic string, more ...string) map[string]string {
	c := map[string]string{
		"hosts": strings.Join(b.kafka.Brokers(), ","), "start": "earliest", "commit_interval": "20ms",
		"fetch_max_wait": "100ms",
		"retry_backoff":  "5ms",
	}
	if topic != "" {
		c["topic"] = topic
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

func (b *bench) start() *testkit.Provider {
	b.t.Helper()
	p := b.host.StartProvider(testkit.ProviderSpec{Run: inProcess(b.t)})
	p.WaitHealthy() // a put before the provider listens is lost, here as with a real host
	return p
}

func values(rs []*kgo.Record) []string {
	vs := make([]string, len(rs))
	for i, r := range rs {
		vs[i] = string(r.Value)
	}
	slices.Sort(vs)
	return vs
}

func TestATargetLinkEchoes(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	b.kc.ProduceText("in", "a", "b", "c")
	if got := values(b.kc.Read("in.reply", 3)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("echoed %v", got)
	}
	b.kc.WaitDrained("wasmcloud.default.echo.default", "in")
	if r := p.Shutdown(); !r.Replied {
		t.Errorf("shutdown was not answered in time: %+v", r)
	}
}

func TestLinksOfBothDirectionsShareOneReading(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	target, source := testkit.TargetLink("echo", "kafka", b.config("in")), testkit.SourceLink("kafka",
		"echo", b.config("in"))
	b.host.PutLink(target)
	p := b.start()
	b.host.PutLink(source)
	p.WaitHealthy()
	b.kc.ProduceText("in", "a", "b")
	b.kc.Read("in.reply", 2)
	b.kc.WaitMembers("wasmcloud.default.echo.default", 1)
	// The one may go without the other noticing.
	b.host.DeleteLink(source)
	b.kc.ProduceText("in", "c")
	b.kc.Read("in.reply", 3)
	if c.Calls() != 3 {
		t.Errorf("%d calls, want one per record", c.Calls())
	}
}

func TestASourceLinkDeliversWithoutATargetLink(t *testing.T) {
	b := newBench(t)
	b.topics("in")
	got := make(chan testkit.Call, 1)
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
			got <- call
			return nil
		}})
	p := b.start()
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in")))
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Value: []byte("x"),
		Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-1-2-01")}}})
	call := <-got
	if call.Subject != "in" || string(call.Body) != "x" || call.ReplyTo == nil || *call.ReplyTo != "in.reply" {
		t.Errorf("call = %+v", call)
	}
	for key, want := range map[string]string{"source-id": "kafka", "target-id": "echo", "link-name": "default",
		"traceparent": "00-1-2-01"} {
		if v := call.Header[key]; len(v) != 1 || v[0] != want {
			t.Errorf("header %s = %v, want %s", key, v, want)
		}
	}
}

func TestOneComponentHasSeveralLinks(t *testing.T) {
	b := newBench(t)
	b.topics("a", "b", "out")
	got := make(chan string, 2)
	c := testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(_ context.Context, _ *testkit.Component, call testkit.Call) error {
			got <- call.Header["link-name"][0] + ":" + call.Subject
			return nil
		}})
	p := b.start()
	one, two := testkit.TargetLink("echo", "kafka", b.config("a")), testkit.TargetLink("echo", "kafka",
		b.config("b", "allowed_topics", "nothing"))
	two.Name = "second"
	b.host.PutLink(one)
	b.host.PutLink(two)
	p.WaitHealthy()
	b.kc.ProduceText("a", "x")
	b.kc.ProduceText("b", "y")
	calls := []string{<-got, <-got}
	slices.Sort(calls)
	if !slices.Equal(calls, []string{"default:a", "second:b"}) {
		t.Errorf("calls = %v", calls)
	}
	if err := c.Publish(t.Context(), testkit.Message{Subject: "out", Body: []byte("1")}); err != nil {
		t.Errorf("publish by the default link: %v", err)
	}
	var refused *testkit.ResultError
	if err := c.PublishOn(t.Context(), "second", testkit.Message{Subject: "out"}); !errors.As(err, &refused) ||
		!strings.Contains(refused.Text, "allowed_topics") {
		t.Errorf("publish by the second link: %v", err)
	}
	if err := c.PublishOn(t.Context(), "third", testkit.Message{Subject: "out"}); !errors.As(err, &refused) ||
		!strings.Contains(refused.Text, `no link named "third"`) {
		t.Errorf("publish without a link: %v", err)
	}
}

func TestAChangedPutReplacesThatLinkAlone(t *testing.T) {
	b := newBench(t)
	b.topics("a", "b", "c")
	got := make(chan string, 10)
	handler := func(_ context.Context, c *testkit.Component, call testkit.Call) error {
		got <- c.ID() + ":" + call.Subject
		return nil
	}
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "one", Handler: handler})
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "two", Handler: handler})
	p := b.start()
	b.host.PutLink(testkit.SourceLink("kafka", "one", b.config("a")))
	b.host.PutLink(testkit.SourceLink("kafka", "two", b.config("c")))
	p.WaitHealthy()
	b.kc.WaitMembers("wasmcloud.default.two.default", 1)
	members := b.kc.MemberIDs("wasmcloud.default.two.default")
	b.host.PutLink(testkit.SourceLink("kafka", "one", b.config("b")))
	b.kc.ProduceText("b", "x")
	if call := <-got; call != "one:b" {
		t.Errorf("call = %s", call)
	}
	p.WaitHealthy()
	b.kc.ProduceText("a", "not read any more")
	b.kc.ProduceText("c", "y")
	if call := <-got; call != "two:c" {
		t.Errorf("call = %s", call)
	}
	if after := b.kc.MemberIDs("wasmcloud.default.two.default"); !slices.Equal(after, members) {
		t.Errorf("the other link's group changed its members from %v to %v", members, after)
	}
}

func TestHealthNamesEachLinkAndItsReason(t *testing.T) {
	b := newBench(t)
	b.topics("in")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "max_in_flight", "many")))
	b.host.PutLink(testkit.TargetLink("lost", "kafka", map[string]string{"hosts": "127.0.0.1:1"}))
	b.host.PutLink(testkit.TargetLink("well", "kafka", b.config("in")))
	text := p.WaitUnhealthy("link echo/default: ", "max_in_flight", "link lost/default: ", "127.0.0.1:1", "refused")
	if strings.Contains(text, "well/default") && !strings.Contains(text, "joining") &&
		!strings.Contains(text, "starting") {
		t.Errorf("the sound link is in the message: %s", text)
	}
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	b.host.DeleteLink(testkit.TargetLink("lost", "kafka", nil))
	p.WaitHealthy()
}

func TestNoComponentHoldsRecordsAndHealthSaysSo(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	c.Stop()
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka",
		b.config("in", "dead_letter_topic", "in.reply", "max_attempts", "1")))
	p.WaitHealthy()
	b.kc.ProduceText("in", "a")
	testkit.InRunbook(t, "No component takes calls",
		p.WaitUnhealthy("link echo/default: ", "component echo takes no calls", "1 records wait"))
	c.Start()
	b.kc.Read("in.reply", 1)
	p.WaitHealthy()
	if c.Calls() != 1 {
		t.Errorf("%d calls", c.Calls())
	}
}

func TestFiveMebibytesGoInAndOut(t *testing.T) {
	b := newBench(t)
	big := strings.Repeat("0123456789abcdef", 5<<20/16)
	testkit.NewClient(t, b.kafka.Brokers())
	for _, name := range []string{"in", "in.reply"} {
		b.kc.Topic(name, 1, map[string]string{"max.message.bytes": fmt.Sprint(8 << 20)})
	}
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "max_message_bytes", "6MiB")))
	p.WaitHealthy()
	testkit.NewClient(t, b.kafka.Brokers(), kgo.ProducerBatchMaxBytes(7<<20)).ProduceText("in", big)
	if got := string(b.kc.Read("in.reply", 1)[0].Value); got != big {
		t.Errorf("%d bytes came back, want the %d that went", len(got), len(big))
	}
}

func TestRepliesGoWhereARequesterOnKafkaAsksForThem(t *testing.T) {
	b := newBench(t)
	b.topics("in", "answers")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in", "reply_topics_from_records", "answers")))
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Value: []byte("ping"), Headers: []kgo.RecordHeader{
		{Key: "kafka_replyTopic", Value: []byte("answers")}, {Key: "kafka_replyPartition", Value: []byte{0, 0, 0, 2}},
		{Key: "kafka_correlationId", Value: []byte{1, 2, 3}},
	}})
	r := b.kc.Read("answers", 1)[0]
	if string(r.Value) != "ping" || r.Partition != 2 || len(r.Headers) != 1 ||
		string(r.Headers[0].Value) != "\x01\x02\x03" {
		t.Errorf("answer = %+v", r)
	}
}

func TestAComponentRequestsOverKafka(t *testing.T) {
	b := newBench(t)
	b.topics("questions", "answers")
	asker := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "asker"})
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "echo"})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("asker", "kafka", b.config("", "request_reply_topic", "answers")))
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("questions", "reply_topics_from_records", "answers")))
	p.WaitHealthy()
	m, err := asker.Request(t.Context(), "questions", []byte("who?"), testkit.DefaultTimeout)
	if err != nil || string(m.Body) != "who?" || m.Subject != "answers" {
		t.Errorf("answer = %+v, %v", m, err)
	}
	var refused *testkit.ResultError
	if _, err := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "echo"}).Request(t.Context(), "questions",
		nil, testkit.DefaultTimeout); !errors.As(err, &refused) || !strings.Contains(refused.Text, "request_reply_topic") {
		t.Errorf("request without a reply topic: %v", err)
	}
}

func TestNATSMayGoAndComeBack(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	b.kc.ProduceText("in", "before")
	b.kc.Read("in.reply", 1)
	b.nats.Stop()
	b.kc.ProduceText("in", "meanwhile")
	b.nats.Start()
	b.kc.ProduceText("in", "after")
	got := b.kc.ReadUntil("in.reply", testkit.DefaultTimeout, func(rs []*kgo.Record) bool {
		vs := values(rs)
		return slices.Contains(vs, "meanwhile") && slices.Contains(vs, "after")
	})
	if len(got) < 3 {
		t.Errorf("echoed %v", values(got))
	}
}

func TestAShutdownDoesNotWaitForALinkThatWasDeletedBefore(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	throttled := make(chan struct{}, 1)
	b.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		throttled <- struct{}{}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.ThrottleMillis = 600_000 // as with a quota that is used up: nothing more can be sent for so long
		return resp, nil, true
	})
	publisher := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "publisher"})
	p := b.start()
	l := testkit.TargetLink("publisher", "kafka", b.config(""))
	b.host.PutLink(l)
	p.WaitHealthy()
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() { published <- publisher.Publish(ctx, testkit.Message{Subject: "out", Body: []byte("x")}) }()
	<-throttled
	b.host.DeleteLink(l)
	if r := p.Shutdown(); !r.Replied {
		t.Errorf("shutdown was not answered in time: %+v", r)
	}
	cancel()
	<-published //nolint:errcheck // by that time it may have been stored, or not
}
