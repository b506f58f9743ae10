package otlp

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// spanClient is the transport below OpenTelemetry's exporter of spans, which encodes them.
type spanClient struct{ *client }

var _ otlptrace.Client = spanClient{}

// Start implements otlptrace.Client: the first export connects.
func (spanClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c spanClient) Stop(ctx context.Context) error {
	c.close(ctx)
	return nil
}

// UploadTraces implements otlptrace.Client. On the wire a TracesData is an ExportTraceServiceRequest. The outcome has
// been reported when it returns; an error would be so a second time, by OpenTelemetry's global error handler.
func (c spanClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	items := 0
	for _, rs := range spans {
		for _, ss := range rs.ScopeSpans {
			items += len(ss.Spans)
		}
	}
	_ = c.send(ctx, &tracepb.TracesData{ResourceSpans: spans}, items)
	return nil
}

func newSpanExporter(c *client) sdktrace.SpanExporter {
	exporter := otlptrace.NewUnstarted(spanClient{c})
	// Start of our client does nothing and cannot fail.
	_ = exporter.Start(context.Background())
	return exporter
}
