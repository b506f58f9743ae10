package tracing

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Attributes besides those of the conventions.
const (
	componentKey = attribute.Key("wasmcloud.component.id")
	linkKey      = attribute.Key("wasmcloud.link.name")
	// attemptKey counts the deliveries of a record: 1 is the first.
	attemptKey = attribute.Key("messaging_kafka.attempt")
)

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	// value and text make a name and a text of others fit to be told; nil where nothing needs to be.
	value, text func(string) string
}

// Fit has names and texts of others go through these functions.
func (t *Tracer) Fit(value, text func(string) string) *Tracer {
	if t != nil {
		t.value, t.text = value, text
	}
	return t
}

// New makes a tracer of a provider of them; of nil, one that is off.
func New(from trace.TracerProvider, version string) *Tracer {
	if from == nil {
		return nil
	}
	return &Tracer{tracer: from.Tracer("messaging-kafka",
		trace.WithInstrumentationVersion(version), trace.WithSchemaURL(semconv.SchemaURL))}
}

// Link makes the spans of one link. It is safe for concurrent use.
type Link struct {
	tracer      trace.Tracer
	common      []attribute.KeyValue
	group       string // "" where the link does not consume
	value, text func(string) string
}

// Link returns what makes the spans of a link: of the component at its other end, the link's name, and the group that
// it consumes in, "" where it does not.
func (t *Tracer) Link(component, name, group string) *Link {
	if t == nil {
		return nil
	}
	return &Link{tracer: t.tracer, group: fit(t.value, group), value: t.value, text: t.text, common: []attribute.KeyValue{
		semconv.MessagingSystemKafka, componentKey.String(component), linkKey.String(name),
	}}
}

// attributes returns the common attributes and a few more.
func (l *Link) attributes(topic string, name string, kind attribute.KeyValue, more int) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, len(l.common)+3+more)
	list = append(list, l.common...)
	list = append(list, semconv.MessagingOperationName(name), kind)
	if topic != "" {
		list = append(list, semconv.MessagingDestinationName(fit(l.value, topic)))
	}
	return list
}

// named is the conventions' name of a span.
func (l *Link) named(operation, topic string) string {
	if topic == "" {
		return operation
	}
	return operation + " " + fit(l.value, topic)
}

func fit(by func(string) string, s string) string {
	if by == nil {
		return s
	}
	return by(s)
}

// Span is one operation under way.
type Span struct {
	span        trace.Span
	headers     map[string][]string // of what happens below it
	value, text func(string) string // as the tracer has them
}

// Headers returns the trace headers for what happens below the span; with tracing off those of in, the one record that
// it is about, nil where there are several. They must not be changed.
func (s *Span) Headers(in *record.Record) map[string][]string {
	switch {
	case s != nil:
		return s.headers
	case in != nil:
		return Of(in)
	default:
		return nil
	}
}

// End ends the span. err is nil where the operation went well; else class, of a closed list, says how it did not.
func (s *Span) End(class string, err error) {
	if s == nil {
		return
	}
	if err != nil && s.span.IsRecording() {
		s.span.SetAttributes(semconv.ErrorTypeKey.String(class))
		s.span.SetStatus(codes.Error, text.Clip(fit(s.text, err.Error()), maxText))
	}
	s.span.End()
}

// maxText bounds what an error puts into a span in bytes; a component can make it as long as it likes. Protobuf takes
// only valid UTF-8, and the spans sent together would be lost with one that is not.
const maxText = 512

// start begins a span below parent, or a trace of its own where that is not valid. The context that it returns has the
// span and ends with ctx; whatever span ctx has does not count.
func (l *Link) start(ctx context.Context, parent trace.SpanContext, name string, from map[string][]string,
	opts ...trace.SpanStartOption) (context.Context, *Span) {
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else {
		opts = append(opts, trace.WithNewRoot())
	}
	ctx, span := l.tracer.Start(ctx, name, opts...) //nolint:spancheck // it is for the caller to end, by Span.End
	return ctx, &Span{                              //nolint:spancheck // likewise
		span: span, headers: headersFor(span.SpanContext(), from), value: l.value, text: l.text,
	}
}

func partition(p int32) attribute.KeyValue {
	return semconv.MessagingDestinationPartitionID(strconv.Itoa(int(p)))
}

func position(topic string, part int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingDestinationName(topic), partition(part), semconv.MessagingKafkaOffset(int(offset)),
	}
}

// contextOf reads the span that a record was made in.
func contextOf(r *record.Record) trace.SpanContext { return spanContextOf(Of(r)) }
