package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit/collector"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// observed starts a provider whose host sends telemetry to a collector.
func (b *bench) observed(otel map[string]any, config map[string]string) *testkit.Provider {
	b.t.Helper()
	p := b.host.StartProvider(testkit.ProviderSpec{
		Config: config,
		Run: func(ctx context.Context, stdin io.Reader) error {
			data, err := hostdata.Read(ctx, stdin)
			if err != nil {
				return err
			}
			return Run(ctx, data, Options{Logger: testkit.Logger(b.t), IgnoreParent: true})
		},
		HostData: func(data map[string]any) { data["otel_config"] = otel },
	})
	p.WaitHealthy()
	return p
}

// quick has everything sent at once.
var quick = map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BLRP_SCHEDULE_DELAY": "20",
	"OTEL_METRIC_EXPORT_INTERVAL": "50"}

const (
	producerTrace = "0123456789abcdef0123456789abcdef"
	producerSpan  = "0123456789abcdef"
	sampled       = "00-" + producerTrace + "-" + producerSpan + "-01"
)

func traced(topic, value, parent string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte(value), Headers: []kgo.RecordHeader{
		{Key: "traceparent", Value: []byte(parent)}, {Key: "tracestate", Value: []byte("vendor=1")}, {Key: "baggage", Value: []byte("tenant=7")},
	}}
}

func kafkaHeader(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// named waits for a span of each name.
func named(t *testing.T, c *collector.Collector, names ...string) map[string]*tracepb.Span {
	t.Helper()
	found := map[string]*tracepb.Span{}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		for _, s := range c.Spans() {
			found[s.Name] = s
		}
		for _, name := range names {
			if found[name] == nil {
				return fmt.Errorf("no span %q came, only %v", name, found)
			}
		}
		return nil
	})
	return found
}

func id(b []byte) string { return fmt.Sprintf("%x", b) }

func TestARecordItsHandlingAndWhatItPublishesAreOneTrace(t *testing.T) {
	for _, protocol := range []string{"Http", "Grpc"} {
		t.Run(protocol, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			c := collector.New(t, collector.Options{GRPC: protocol == "Grpc", TLS: true})
			testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
			p := b.observed(map[string]any{
				"enable_observability": true, "protocol": protocol, "observability_endpoint": c.URL(),
				"additional_ca_paths": []string{c.CAFile()}, "trace_level": "info",
			}, quick)
			b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
			p.WaitHealthy()
			b.kc.Produce(traced("in", "payload-x", sampled))
			out := b.kc.Read("in.reply", 1)[0]

			spans := named(t, c, "process in", "send in.reply")
			process, send := spans["process in"], spans["send in.reply"]
			if id(process.TraceId) != producerTrace || id(process.ParentSpanId) != producerSpan ||
				process.Kind != tracepb.Span_SPAN_KIND_CONSUMER {
				t.Errorf("process span %v", process)
			}
			if id(send.TraceId) != producerTrace || id(send.ParentSpanId) != id(process.SpanId) ||
				send.Kind != tracepb.Span_SPAN_KIND_PRODUCER {
				t.Errorf("send span %v", send)
			}
			if got, want := kafkaHeader(out, "traceparent"), "00-"+producerTrace+"-"+id(send.SpanId)+"-01"; got != want {
				t.Errorf("the published record is below %s, want %s", got, want)
			}
			if kafkaHeader(out, "tracestate") != "vendor=1" || kafkaHeader(out, "baggage") != "tenant=7" {
				t.Errorf("headers of the published record: %v", out.Headers)
			}
			a := collector.Attributes(process.Attributes)
			for key, want := range map[string]any{
				"messaging.system": "kafka", "messaging.destination.name": "in", "messaging.kafka.offset": int64(0),
				"messaging.consumer.group.name": "wasmcloud.default.echo.default", "wasmcloud.component.id": "echo",
				"wasmcloud.link.name": "default",
			} {
				if a[key] != want {
					t.Errorf("attribute %s = %v, want %v", key, a[key], want)
				}
			}
			s := collector.Attributes(send.Attributes)
			if s["messaging.destination.partition.id"] != fmt.Sprint(out.Partition) ||
				s["messaging.kafka.offset"] != out.Offset {
				t.Errorf("position in the send span: %v", s)
			}
			c.WaitMetric("messaging_kafka_fetched_records_total")
			c.WaitMetric("messaging_kafka_otlp_items_total")
			if r := p.Shutdown(); !r.Replied {
				t.Errorf("shutdown was not answered in time: %+v", r)
			}
			lines := 0
			for _, rl := range c.ResourceLogs() {
				for _, sl := range rl.ScopeLogs {
					lines += len(sl.LogRecords)
				}
				if strings.Contains(rl.String(), "payload-x") {
					t.Errorf("a payload is in the log: %s", rl)
				}
			}
			if lines == 0 {
				t.Error("no log line came")
			}
			if text := fmt.Sprint(c.Spans()); strings.Contains(text, "payload-x") {
				t.Errorf("a payload is in a span: %s", text)
			}
		})
	}
}

func TestWhatSamplingLeftOutIsNotSentAndStaysOneTrace(t *testing.T) {
	b := newBench(t)
	b.topics("in", "in.reply")
	c := collector.New(t, collector.Options{})
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.observed(map[string]any{"enable_traces": true, "observability_endpoint": c.URL()}, quick)
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
	p.WaitHealthy()
	b.kc.Produce(traced("in", "left out", strings.TrimSuffix(sampled, "1")+"0"))
	out := b.kc.Read("in.reply", 1)[0]
	if got := kafkaHeader(out, "traceparent"); !strings.HasPrefix(got, "00-"+producerTrace+"-") ||
		!strings.HasSuffix(got, "-00") {
		t.Errorf("traceparent %q", got)
	}
	b.kc.Produce(traced("in", "taken", sampled))
	named(t, c, "process in", "send in.reply")
	p.Shutdown()
	if n := len(c.Spans()); n != 2 {
		t.Errorf("%d spans came, want those of the second record alone", n)
	}
}

func TestAFailedDeliveryIsAnErrorInItsSpan(t *testing.T) {
	b := newBench(t)
	b.topics("in", "dlq")
	c := collector.New(t, collector.Options{})
	testkit.NewComponent(t, b.nats,
		testkit.ComponentOptions{Handler: func(context.Context, *testkit.Component, testkit.Call) error {
			return errors.New("reject: no such order")
		}})
	p := b.observed(map[string]any{"enable_traces": true, "observability_endpoint": c.URL()}, quick)
	b.host.PutLink(testkit.SourceLink("kafka", "echo", b.config("in", "dead_letter_topic", "dlq")))
	p.WaitHealthy()
	b.kc.Produce(traced("in", "x", sampled))
	s := named(t, c, "process in")["process in"]
	if s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || s.Status.Message != "no such order" ||
		collector.Attributes(s.Attributes)["error.type"] != "reject" {
		t.Errorf("span %v", s)
	}
	if letter := b.kc.Read("dlq", 1)[0]; kafkaHeader(letter, "traceparent") != sampled {
		t.Errorf("headers of the dead letter: %v", letter.Headers)
	}
}

func TestARequestAndItsAnswerAreOneTrace(t *testing.T) {
	b := newBench(t)
	b.topics("questions", "answers")
	c := collector.New(t, collector.Options{})
	asker := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "asker"})
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{ID: "echo"})
	p := b.observed(map[string]any{"enable_traces": true, "observability_endpoint": c.URL()}, quick)
	b.host.PutLink(testkit.TargetLink("asker", "kafka", b.config("", "request_reply_topic", "answers")))
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("questions", "reply_topics_from_records", "answers")))
	waitLinked(t, asker)
	p.WaitHealthy()
	if _, err := asker.Request(t.Context(), "questions", []byte("who?"), testkit.DefaultTimeout); err != nil {
		t.Fatal(err)
	}
	spans := named(t, c, "request questions", "process questions", "send answers")
	request, process, send := spans["request questions"], spans["process questions"], spans["send answers"]
	if len(request.ParentSpanId) != 0 || request.Kind != tracepb.Span_SPAN_KIND_CLIENT ||
		id(process.ParentSpanId) != id(request.SpanId) ||
		id(send.ParentSpanId) != id(process.SpanId) || id(send.TraceId) != id(request.TraceId) {
		t.Errorf("request %v\nprocess %v\nsend %v", request, process, send)
	}
	if len(request.Links) != 1 || id(request.Links[0].SpanId) != id(send.SpanId) {
		t.Errorf("links of the request: %v", request.Links)
	}
}

// copies makes one output of each record.
func copies(batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = record.Outcome{Kind: record.Done,
			Outputs: []record.Outgoing{{Topic: "out", Partition: record.AnyPartition, Value: r.Value}}}
	}
	return outcomes
}

func TestOutputsOfABatchStayInTheTracesOfTheirRecords(t *testing.T) {
	for sentence, otel := range map[string]map[string]any{"traced": {"enable_traces": true}, "not traced": {}} {
		t.Run(sentence, func(t *testing.T) {
			b := newBench(t)
			b.kafka.Topic("in", 1)
			b.topics("out")
			c := collector.New(t, collector.Options{})
			otel["observability_endpoint"] = c.URL()
			newRecordsComponent(t, b.nats, "echo", copies)
			const other = "fedcba9876543210fedcba9876543210"
			b.kc.Produce(traced("in", "one", sampled), traced("in", "two", "00-"+other+"-"+producerSpan+"-01"))
			p := b.observed(otel, quick)
			b.host.PutLink(recordsLink("kafka", "echo", "processor",
				b.config("in", "batch_max_records", "2", "batch_max_wait", "10s")))
			p.WaitHealthy()
			traces := map[string]string{}
			for _, r := range b.kc.Read("out", 2) {
				traces[string(r.Value)] = strings.Split(kafkaHeader(r, "traceparent")+"---", "-")[1]
			}
			if traces["one"] != producerTrace || traces["two"] != other {
				t.Errorf("traces of the outputs: %v", traces)
			}
			if sentence == "not traced" {
				return
			}
			spans := named(t, c, "process in", "create out")
			process, create := spans["process in"], spans["create out"]
			if len(process.ParentSpanId) != 0 || len(process.Links) != 2 ||
				collector.Attributes(process.Attributes)["messaging.batch.message_count"] != int64(2) {
				t.Errorf("process span %v", process)
			}
			if id(create.ParentSpanId) != producerSpan || len(create.Links) != 1 ||
				id(create.Links[0].SpanId) != id(process.SpanId) {
				t.Errorf("create span %v", create)
			}
		})
	}
}

func TestRecordsThatAComponentSendsAreBelowTheSend(t *testing.T) {
	b := newBench(t)
	b.topics("out")
	c := collector.New(t, collector.Options{})
	component := newRecordsComponent(t, b.nats, "echo", nil)
	p := b.observed(map[string]any{"enable_traces": true, "observability_endpoint": c.URL()}, quick)
	b.host.PutLink(recordsLink("echo", "kafka", "producer", b.config("")))
	p.WaitHealthy()
	component.send(
		record.Outgoing{Topic: "out", Partition: 0, Value: []byte("a")},
		record.Outgoing{Topic: "out", Partition: 0, Value: []byte("b"),
			Headers: []record.Header{{Key: "traceparent", Value: []byte(sampled)}}},
	)
	s := named(t, c, "send out")["send out"]
	for _, r := range b.kc.Read("out", 2) {
		want := "00-" + id(s.TraceId) + "-" + id(s.SpanId) + "-01"
		if string(r.Value) == "b" {
			want = sampled
		}
		if got := kafkaHeader(r, "traceparent"); got != want {
			t.Errorf("record %s is below %s, want %s", r.Value, got, want)
		}
	}
	if len(s.Links) != 1 || id(s.Links[0].TraceId) != producerTrace ||
		collector.Attributes(s.Attributes)["messaging.batch.message_count"] != int64(2) {
		t.Errorf("span %v", s)
	}
}

func TestADeadCollectorHoldsUpNeitherRecordsNorTheShutdown(t *testing.T) {
	for sentence, endpoint := range map[string]string{"refuses": "http://127.0.0.1:1",
		"never answers": collector.Dead(t)} {
		t.Run(sentence, func(t *testing.T) {
			b := newBench(t)
			b.topics("in", "in.reply")
			testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
			config := map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "16"} // which is full at once
			maps.Copy(config, quick)
			p := b.observed(map[string]any{"enable_observability": true, "observability_endpoint": endpoint}, config)
			b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("in")))
			p.WaitHealthy()
			b.kc.ProduceText("in", slices.Repeat([]string{"x"}, 300)...)
			b.kc.Read("in.reply", 300)
			if r := p.Shutdown(); !r.Replied {
				t.Errorf("shutdown was not answered in time: %+v", r)
			}
		})
	}
}

func TestNothingSecretIsExported(t *testing.T) {
	const password, token = "hunter2-password", "hunter2-token"
	b := &bench{t: t, nats: testkit.NATS(t, testkit.NATSOptions{})}
	b.kafka = testkit.Kfake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", password),
		kfake.SeedTopics(1, "in", "in.reply"))
	b.host = testkit.NewFakeHost(t, b.nats, testkit.FakeHostOptions{})
	b.kc = testkit.NewClient(t, b.kafka.Brokers(), kgo.SASL(plain.Auth{User: "user", Pass: password}.AsMechanism()))
	c := collector.New(t, collector.Options{Token: token})
	testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.host.StartProvider(testkit.ProviderSpec{
		Run: inProcess(t), Config: quick,
		Secrets: map[string]testkit.SecretValue{"OTEL_EXPORTER_OTLP_HEADERS": testkit.SecretText("authorization=" + token)},
		HostData: func(data map[string]any) {
			data["log_level"] = "trace"
			data["otel_config"] = map[string]any{"enable_observability": true, "observability_endpoint": c.URL()}
		},
	})
	p.WaitHealthy()
	l := testkit.TargetLink("echo", "kafka", b.config("in", "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism",
		"PLAIN", "sasl_username", "user"))
	l.TargetSecrets = map[string]testkit.SecretValue{"sasl_password": testkit.SecretText(password)}
	b.host.PutLink(l)
	p.WaitHealthy()
	b.kc.Produce(&kgo.Record{Topic: "in", Key: []byte("a-key"), Value: []byte("a-payload"),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("a-header")}}})
	b.kc.Read("in.reply", 1)
	named(t, c, "process in", "send in.reply")
	l.Source = "other"
	l.TargetSecrets = map[string]testkit.SecretValue{"sasl_password": testkit.SecretText(password + "-wrong")}
	b.host.PutLink(l) // errors are the likeliest place
	p.WaitUnhealthy("link other/default")
	p.Shutdown()
	all := fmt.Sprint(c.Spans(), c.ResourceLogs(), c.ResourceMetrics())
	for _, secret := range []string{password, token, "a-payload", "a-key", "a-header"} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s was exported: …%s…", secret, all[max(0, i-200):i+len(secret)])
		}
	}
	if !strings.Contains(all, "link ready") || len(c.ResourceMetrics()) == 0 {
		t.Error("little was exported: the test shows nothing")
	}
}
