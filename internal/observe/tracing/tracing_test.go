package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// recording is tracing that keeps what it makes.
type recording struct {
	*Link
	spans *tracetest.SpanRecorder
}

func newRecording(t *testing.T, sampler sdktrace.Sampler) recording {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() {
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return recording{New(tp, "1").Link("echo", "default", "group"), spans}
}

func always() sdktrace.Sampler { return sdktrace.ParentBased(sdktrace.AlwaysSample()) }

const (
	traceOne  = "0123456789abcdef0123456789abcdef"
	spanOne   = "0123456789abcdef"
	parentOne = "00-" + traceOne + "-" + spanOne + "-01"
	unsampled = "00-" + traceOne + "-" + spanOne + "-00"
	traceTwo  = "f123456789abcdef0123456789abcdef"
	parentTwo = "00-" + traceTwo + "-" + spanOne + "-01"
)

func with(headers ...string) *record.Record {
	r := &record.Record{Topic: "in", Partition: 3, Offset: 42, Value: []byte("payload"), Key: []byte("key"), Attempt: 1}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, record.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func attributesOf(s sdktrace.ReadOnlySpan) map[attribute.Key]any {
	m := map[attribute.Key]any{}
	for _, a := range s.Attributes() {
		m[a.Key] = a.Value.AsInterface()
	}
	return m
}

func check(t *testing.T, s sdktrace.ReadOnlySpan, name string, kind trace.SpanKind, want map[attribute.Key]any) {
	t.Helper()
	if s.Name() != name || s.SpanKind() != kind {
		t.Errorf("span %q of kind %v, want %q of kind %v", s.Name(), s.SpanKind(), name, kind)
	}
	got := attributesOf(s)
	for _, common := range []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("wasmcloud.component.id", "echo"), attribute.String("wasmcloud.link.name", "default"),
	} {
		want[common.Key] = common.Value.AsInterface()
	}
	if kind == trace.SpanKindConsumer {
		want["messaging.consumer.group.name"] = "group"
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("attributes\n%v\nwant\n%v", got, want)
	}
}

func TestADeliveryIsBelowTheSpanThatItsRecordWasMadeIn(t *testing.T) {
	r := newRecording(t, always())
	in := with("traceparent", parentOne, "tracestate", "vendor=1", "baggage", "user=7")
	in.Attempt = 2
	_, span := r.Process(t.Context(), in)
	h := span.Headers(in)
	span.End("reject", errors.New("no \xff good"))

	got := r.spans.Ended()[0]
	check(t, got, "process in", trace.SpanKindConsumer, map[attribute.Key]any{
		"messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": "in",
		"messaging.destination.partition.id": "3", "messaging.kafka.offset": int64(42),
		"messaging_kafka.attempt": int64(2), "error.type": "reject",
	})
	if p := got.Parent(); p.TraceID().String() != traceOne || p.SpanID().String() != spanOne || !p.IsRemote() {
		t.Errorf("parent %+v", p)
	}
	if s := got.Status(); s.Code != codes.Error || s.Description != "no \uFFFD good" {
		t.Errorf("status %+v", s)
	}
	want := map[string][]string{
		"traceparent": {"00-" + traceOne + "-" + got.SpanContext().SpanID().String() + "-01"},
		"tracestate":  {"vendor=1"}, "baggage": {"user=7"},
	}
	if fmt.Sprint(h) != fmt.Sprint(want) {
		t.Errorf("headers %v, want %v", h, want)
	}
}

func TestARecordWithoutATraceBeginsOne(t *testing.T) {
	for name, in := range map[string]*record.Record{"none": with(),
		"broken": with("traceparent", "00-1-2-01", "tracestate", "a=b")} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t, always())
			in.Value = nil
			_, span := r.Process(t.Context(), in)
			span.End("", nil)
			got := r.spans.Ended()[0]
			if got.Parent().IsValid() || len(span.Headers(in)["tracestate"]) != 0 || got.Status().Code != codes.Unset {
				t.Errorf("parent %v, headers %v", got.Parent(), span.Headers(in))
			}
			if attributesOf(got)["messaging.kafka.message.tombstone"] != true {
				t.Error("the tombstone is not named")
			}
		})
	}
}

func TestWhatSamplingLeftOutStaysOutAndKeepsItsTrace(t *testing.T) {
	r := newRecording(t, always())
	in := with("traceparent", unsampled)
	_, one := r.Process(t.Context(), in)
	one.End("retry", errors.New("e"))
	_, many := r.ProcessBatch(t.Context(), []*record.Record{in, in})
	many.End("", nil)
	if n := len(r.spans.Ended()); n != 0 {
		t.Errorf("%d spans were made", n)
	}
	for _, h := range []map[string][]string{one.Headers(in), many.Headers(nil)} {
		if v := h["traceparent"]; len(v) != 1 || !strings.HasPrefix(v[0], "00-"+traceOne) || !strings.HasSuffix(v[0], "-00") {
			t.Errorf("headers %v", h)
		}
	}
}

func TestABatchIsLinkedWithTheSpansOfItsRecords(t *testing.T) {
	r := newRecording(t, always())
	batch := []*record.Record{with("traceparent", parentOne), with(), with("traceparent", parentTwo),
		with("traceparent", parentOne), with("traceparent", unsampled)}
	_, span := r.ProcessBatch(t.Context(), batch)
	span.End("", nil)
	got := r.spans.Ended()[0]
	check(t, got, "process in", trace.SpanKindConsumer, map[attribute.Key]any{
		"messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": "in",
		"messaging.destination.partition.id": "3", "messaging.kafka.offset": int64(42),
		"messaging.batch.message_count": int64(5),
	})
	if got.Parent().IsValid() || len(got.Links()) != 2 || got.Links()[0].SpanContext.TraceID().String() != traceOne ||
		got.Links()[1].SpanContext.TraceID().String() != traceTwo {
		t.Errorf("parent %v, links %v", got.Parent(), got.Links())
	}
	for i := range 200 {
		batch = append(batch, with("traceparent", fmt.Sprintf("00-%s-%016x-01", traceOne, i+1)))
	}
	_, span = r.ProcessBatch(t.Context(), batch)
	span.End("", nil)
	if n := len(r.spans.Ended()[1].Links()); n != maxLinks {
		t.Errorf("%d links", n)
	}
}

func TestOutputsGoOnInTheTraceOfTheirInput(t *testing.T) {
	own := record.Header{Key: "traceparent", Value: []byte(parentTwo)}
	header := func(o *record.Outgoing) string { v, _ := last(o.Headers, "traceparent"); return string(v) }

	r := newRecording(t, always())
	batch := []*record.Record{with("traceparent", parentOne, "baggage", "b=1"), with()}
	_, span := r.ProcessBatch(t.Context(), batch)
	outs := []*record.Outgoing{{Topic: "out"}, {Topic: "out"}, {Topic: "out", Headers: []record.Header{own}}}
	r.Create(span, batch[0], true, outs[0])
	r.Create(span, batch[1], true, outs[1])
	r.Create(span, batch[0], true, outs[2])
	span.End("", nil)
	created, delivery := r.spans.Ended()[0], r.spans.Ended()[2]
	check(t, created, "create out", trace.SpanKindProducer, map[attribute.Key]any{
		"messaging.operation.name": "create", "messaging.operation.type": "create", "messaging.destination.name": "out",
	})
	if created.Parent().TraceID().String() != traceOne ||
		created.Links()[0].SpanContext.SpanID() != delivery.SpanContext().SpanID() {
		t.Errorf("parent %v, links %v", created.Parent(), created.Links())
	}
	if got, want := header(outs[0]), "00-"+traceOne+"-"+created.SpanContext().SpanID().String()+"-01"; got != want {
		t.Errorf("output of a record with a trace: %s, want %s", got, want)
	}
	if v, _ := last(outs[0].Headers, "baggage"); string(v) != "b=1" {
		t.Errorf("headers %v", outs[0].Headers)
	}
	if other := r.spans.Ended()[1]; other.Parent().SpanID() != delivery.SpanContext().SpanID() ||
		len(other.Links()) != 0 ||
		!strings.Contains(header(outs[1]), other.SpanContext().SpanID().String()) {
		t.Errorf("output of a record without a trace: %s", header(outs[1]))
	}
	if got := header(outs[2]); got != parentTwo || len(r.spans.Ended()) != 3 {
		t.Errorf("output with a trace of its own: %s", got)
	}

	// A record alone: its delivery is in its trace, and so are the outputs.
	_, span = r.Process(t.Context(), batch[0])
	out := &record.Outgoing{Topic: "out"}
	r.Create(span, batch[0], false, out)
	span.End("", nil)
	created, delivery = r.spans.Ended()[3], r.spans.Ended()[4]
	if created.Parent().SpanID() != delivery.SpanContext().SpanID() ||
		!strings.Contains(header(out), created.SpanContext().SpanID().String()) {
		t.Errorf("output of a record alone: %s", header(out))
	}

	// Tracing is off.
	var off *Link
	out = &record.Outgoing{Topic: "out"}
	off.Create(nil, batch[0], true, out)
	if got := header(out); got != parentOne {
		t.Errorf("output with tracing off: %s", got)
	}
}

func TestASendIsBelowTheCallAndItsRecordsBelowTheSend(t *testing.T) {
	r := newRecording(t, always())
	call := map[string][]string{"traceparent": {parentOne}, "tracestate": {"v=1"}, "baggage": {"b=1"}}
	list := []record.Outgoing{{Topic: "out"}}
	_, span := r.Send(t.Context(), call, list)
	span.Stored(record.Position{Topic: "out", Partition: 1, Offset: 9})
	span.End("", nil)
	got := r.spans.Ended()[0]
	check(t, got, "send out", trace.SpanKindProducer, map[attribute.Key]any{
		"messaging.operation.name": "send", "messaging.operation.type": "send", "messaging.destination.name": "out",
		"messaging.destination.partition.id": "1", "messaging.kafka.offset": int64(9),
	})
	if got.Parent().TraceID().String() != traceOne {
		t.Errorf("parent %v", got.Parent())
	}
	want := []record.Header{
		{Key: "traceparent", Value: []byte("00-" + traceOne + "-" + got.SpanContext().SpanID().String() + "-01")},
		{Key: "tracestate", Value: []byte("v=1")}, {Key: "baggage", Value: []byte("b=1")},
	}
	if fmt.Sprint(list[0].Headers) != fmt.Sprint(want) {
		t.Errorf("headers %s, want %s", list[0].Headers, want)
	}
}

func TestARecordThatTheComponentGaveATraceKeepsItAndIsLinked(t *testing.T) {
	r := newRecording(t, always())
	own := []record.Header{{Key: "traceparent", Value: []byte(parentTwo)}}
	list := []record.Outgoing{{Topic: "a", Headers: own}, {Topic: "b"}}
	_, span := r.Send(t.Context(), nil, list)
	span.End("unavailable", errors.New("e"))
	got := r.spans.Ended()[0]
	check(t, got, "send", trace.SpanKindProducer, map[attribute.Key]any{
		"messaging.operation.name": "send", "messaging.operation.type": "send", "messaging.batch.message_count": int64(2),
		"error.type": "unavailable",
	})
	if string(list[0].Headers[0].Value) != parentTwo || len(list[0].Headers) != 1 ||
		got.Links()[0].SpanContext.TraceID().String() != traceTwo {
		t.Errorf("headers %s, links %v", list[0].Headers, got.Links())
	}
	if len(list[1].Headers) != 1 {
		t.Errorf("headers of the other %s", list[1].Headers)
	}
}

func TestNamesOfSpansAreThoseOfTopicsAlone(t *testing.T) {
	for topic, want := range map[string]string{
		"out?key=secret&correlation=1": "out", "?key=secret": "", "a b": "", "\xff": "",
		strings.Repeat("t", record.MaxTopicName+1): "", "A.b_c-9": "A.b_c-9", "": "",
	} {
		if got := destination(topic); got != want {
			t.Errorf("topic %q = %q, want %q", topic, got, want)
		}
	}
	r := newRecording(t, always())
	_, span := r.Send(t.Context(), nil, []record.Outgoing{{Topic: "out?key=secret"}})
	span.End("", nil)
	if got := r.spans.Ended()[0]; got.Name() != "send out" || attributesOf(got)["messaging.destination.name"] != "out" {
		t.Errorf("span %q %v", got.Name(), got.Attributes())
	}
}

func TestARequestIsLinkedWithItsAnswer(t *testing.T) {
	r := newRecording(t, always())
	out := &record.Outgoing{Topic: "questions"}
	_, span := r.Request(t.Context(), map[string][]string{"traceparent": {parentOne}}, out)
	span.Answered(with("traceparent", parentTwo))
	span.Answered(with())
	span.End("", nil)
	got := r.spans.Ended()[0]
	check(t, got, "request questions", trace.SpanKindClient, map[attribute.Key]any{
		"messaging.operation.name": "request", "messaging.operation.type": "send", "messaging.destination.name": "questions",
	})
	if len(got.Links()) != 1 || got.Links()[0].SpanContext.TraceID().String() != traceTwo || len(out.Headers) != 1 {
		t.Errorf("links %v, headers %v", got.Links(), out.Headers)
	}
}

func TestWithTracingOffHeadersPassAsTheyCameAndNothingIsAllocated(t *testing.T) {
	l := New(nil, "1").Link("c", "l", "g")
	in := with("traceparent", "anything", "tracestate", "s", "baggage", strings.Repeat("x", maxHeader+1),
		"traceparent", "the last one")
	ctx, span := l.Process(t.Context(), in)
	if h := span.Headers(in); ctx != t.Context() ||
		fmt.Sprint(h) != fmt.Sprint(map[string][]string{"traceparent": {"the last one"}, "tracestate": {"s"}}) {
		t.Errorf("headers %v", h)
	}
	list := []record.Outgoing{{}, {Headers: []record.Header{{Key: "traceparent", Value: []byte("own")}}}}
	l.Send(t.Context(), map[string][]string{"traceparent": {"call"}}, list)
	if string(list[0].Headers[0].Value) != "call" || string(list[1].Headers[0].Value) != "own" ||
		len(list[1].Headers) != 1 {
		t.Errorf("headers %s, %s", list[0].Headers, list[1].Headers)
	}
	plain, out := with("k", "v"), make([]record.Outgoing, 1)
	batch := []*record.Record{plain, plain}
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := l.Process(context.Background(), plain)
		span.Headers(plain)
		span.End("", nil)
		_, span = l.ProcessBatch(ctx, batch)
		span.Headers(nil)
		l.Create(span, plain, true, &out[0])
		_, span = l.Send(ctx, nil, out)
		span.Stored(record.Position{})
		span.End("", nil)
		_, span = l.Request(ctx, nil, &out[0])
		span.Answered(plain)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrorsAreClipped(t *testing.T) {
	r := newRecording(t, always())
	_, span := r.Process(t.Context(), with())
	span.End("retry", errors.New(strings.Repeat("é", maxText)))
	if got := r.spans.Ended()[0].Status().Description; len(got) > maxText || !strings.HasSuffix(got, "é…") {
		t.Errorf("clipped to %d bytes", len(got))
	}
}
