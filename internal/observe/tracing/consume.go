package tracing

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Process begins the span of one delivery of a record, from the call of the component to its answer. Its parent is the
// span that the record was made in.
func (l *Link) Process(ctx context.Context, r *record.Record) (context.Context, *Span) {
	if l == nil {
		return ctx, nil
	}
	from := Of(r)
	attrs := l.attributes(r.Topic, "process", semconv.MessagingOperationTypeProcess, 5)
	attrs = append(attrs, semconv.MessagingConsumerGroupName(l.group), partition(r.Partition),
		semconv.MessagingKafkaOffset(int(r.Offset)))
	if r.Attempt > 1 {
		attrs = append(attrs, attemptKey.Int(r.Attempt))
	}
	if r.Value == nil {
		attrs = append(attrs, semconv.MessagingKafkaMessageTombstone(true))
	}
	return l.start(ctx, spanContextOf(from), l.named("process", r.Topic), from,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...))
}

// maxLinks bounds the links of a span, as OpenTelemetry's SDKs do.
const maxLinks = 128

// ProcessBatch begins the span of one delivery of several records of one partition. Each of them may be of another
// trace, so the span begins one of its own, and is linked with the spans that the records were made in, up to 128 of
// them. A batch of one record is as by [Link.Process].
func (l *Link) ProcessBatch(ctx context.Context, batch []*record.Record) (context.Context, *Span) {
	switch {
	case l == nil:
		return ctx, nil
	case len(batch) == 1:
		return l.Process(ctx, batch[0])
	}
	first := batch[0]
	links, parent := linksOf(batch)
	attrs := l.attributes(first.Topic, "process", semconv.MessagingOperationTypeProcess, 4)
	attrs = append(attrs, semconv.MessagingConsumerGroupName(l.group), partition(first.Partition),
		semconv.MessagingKafkaOffset(int(first.Offset)), semconv.MessagingBatchMessageCount(len(batch)))
	return l.start(ctx, parent, l.named("process", first.Topic), nil,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...), trace.WithLinks(links...))
}

// linksOf returns links with the spans that records were made in. Where all of them have been left out by sampling,
// the batch is left out too: parent is then one of them, for the sampler to go by.
func linksOf(batch []*record.Record) (links []trace.Link, parent trace.SpanContext) {
	type id struct {
		trace trace.TraceID
		span  trace.SpanID
	}
	seen := make(map[id]struct{}, min(len(batch), maxLinks))
	wanted := false
	for _, r := range batch {
		sc := contextOf(r)
		if !sc.IsValid() {
			wanted = true
			continue
		}
		wanted = wanted || sc.IsSampled()
		key := id{sc.TraceID(), sc.SpanID()}
		if _, is := seen[key]; is || len(links) == maxLinks {
			continue
		}
		seen[key] = struct{}{}
		links = append(links, trace.Link{SpanContext: sc})
	}
	if !wanted {
		parent = links[0].SpanContext
	}
	return links, parent
}

// Create gives an output that a component made of a record the record's trace, unless the component gave it one. below
// is the span of the delivery, nil where tracing is off. The output gets a span of its own: below the delivery or,
// where several records were delivered together, in the trace of the record and linked with the delivery, since the
// delivery is in another.
func (l *Link) Create(below *Span, in *record.Record, several bool, out *record.Outgoing) {
	from := Of(in)
	if l == nil || below == nil {
		out.Headers = Add(out.Headers, from)
		return
	}
	if _, own := last(out.Headers, parentHeader); own {
		return
	}
	topic := destination(out.Topic)
	opts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(l.attributes(topic, "create", semconv.MessagingOperationTypeCreate, 0)...),
	}
	parent := below.span.SpanContext()
	if of := spanContextOf(from); several && of.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: parent}))
		parent = of
	}
	_, span := l.start(context.Background(), parent, l.named("create", topic), from, opts...)
	out.Headers = Add(out.Headers, span.headers)
	span.End("", nil)
}
