package tracing

import (
	"context"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Send begins the span of publishing records, below the span that the call of the component came from, and puts its
// trace into their headers. A record that the component gave a trace keeps that, and the span is linked with it. With
// tracing off the records get the trace of the call.
func (l *Link) Send(ctx context.Context, call map[string][]string, list []record.Outgoing) (context.Context, *Span) {
	if l == nil {
		for i := range list {
			list[i].Headers = Add(list[i].Headers, call)
		}
		return ctx, nil
	}
	topic := ""
	var links []trace.Link
	for i := range list {
		switch to := destination(list[i].Topic); {
		case i == 0:
			topic = to
		case to != topic:
			topic = ""
		}
		if sc := spanContextOf(headersOf(list[i].Headers)); sc.IsValid() && len(links) < maxLinks {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	attrs := l.attributes(topic, "send", semconv.MessagingOperationTypeSend, 1)
	if len(list) != 1 {
		attrs = append(attrs, semconv.MessagingBatchMessageCount(len(list)))
	}
	ctx, span := l.start(ctx, spanContextOf(call), l.named("send", topic), call,
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links...), trace.WithAttributes(attrs...))
	for i := range list {
		list[i].Headers = Add(list[i].Headers, span.headers)
	}
	return ctx, span
}

// destination is the topic of what a component names as one: behind it an address can say more, such as a key, which
// belongs in no span; and what is no name of a topic would make names of spans without end. It is "" for the latter.
func destination(topic string) string {
	if topic, _, _ = strings.Cut(topic, "?"); !record.IsTopicName(topic) {
		return ""
	}
	return topic
}

// Stored says where a record went.
func (s *Span) Stored(p record.Position) {
	if s != nil && s.span.IsRecording() {
		s.span.SetAttributes(position(fit(s.value, p.Topic), p.Partition, p.Offset)...)
	}
}

// Request begins the span of a request: from its record to the answer, below the span that the call of the component
// came from. The record is treated as by [Link.Send].
func (l *Link) Request(ctx context.Context, call map[string][]string, out *record.Outgoing) (context.Context, *Span) {
	if l == nil {
		out.Headers = Add(out.Headers, call)
		return ctx, nil
	}
	topic := destination(out.Topic)
	opts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(l.attributes(topic, "request", semconv.MessagingOperationTypeSend, 0)...),
	}
	if sc := spanContextOf(headersOf(out.Headers)); sc.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
	}
	ctx, span := l.start(ctx, spanContextOf(call), l.named("request", topic), call, opts...)
	out.Headers = Add(out.Headers, span.headers)
	return ctx, span
}

// Answered links a request with the span that the answer to it was made in.
func (s *Span) Answered(r *record.Record) {
	if s == nil || !s.span.IsRecording() {
		return
	}
	if sc := contextOf(r); sc.IsValid() {
		s.span.AddLink(trace.Link{SpanContext: sc})
	}
}
