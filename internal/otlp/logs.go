package otlp

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
)

// logExporter is the end of OpenTelemetry's log pipeline.
type logExporter struct{ *client }

// Export implements log.Exporter. The outcome has been reported when it returns; an error would be so a second time,
// by OpenTelemetry's global error handler.
func (e logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	if len(records) > 0 {
		_ = e.send(ctx, encodeLogs(records), len(records))
	}
	return nil
}

// ForceFlush implements log.Exporter: nothing waits here.
func (logExporter) ForceFlush(context.Context) error { return nil }

// Shutdown implements log.Exporter.
func (e logExporter) Shutdown(ctx context.Context) error {
	e.close(ctx)
	return nil
}

// encodeLogs writes records as a LogsData, which on the wire is an ExportLogsServiceRequest. All of them are of one
// provider, and so of one resource.
func encodeLogs(records []sdklog.Record) *logspb.LogsData {
	type key struct {
		name, version, schema string
		attributes            attribute.Distinct
	}
	res := records[0].Resource()
	out := &logspb.ResourceLogs{Resource: encodeResource(res), SchemaUrl: res.SchemaURL()}
	scopes := make(map[key]*logspb.ScopeLogs, 1)
	for i := range records {
		scope := records[i].InstrumentationScope()
		k := key{scope.Name, scope.Version, scope.SchemaURL, scope.Attributes.Equivalent()}
		list := scopes[k]
		if list == nil {
			list = &logspb.ScopeLogs{Scope: encodeScope(scope), SchemaUrl: scope.SchemaURL}
			scopes[k] = list
			out.ScopeLogs = append(out.ScopeLogs, list)
		}
		list.LogRecords = append(list.LogRecords, encodeLog(&records[i]))
	}
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{out}}
}

func encodeScope(scope instrumentation.Scope) *commonpb.InstrumentationScope {
	return &commonpb.InstrumentationScope{
		Name: scope.Name, Version: scope.Version, Attributes: encodeAttributes(scope.Attributes.ToSlice()),
	}
}

func encodeLog(r *sdklog.Record) *logspb.LogRecord {
	out := &logspb.LogRecord{
		TimeUnixNano:         nanos(r.Timestamp()),
		ObservedTimeUnixNano: nanos(r.ObservedTimestamp()),
		// Both number the severities from TRACE, 1, to FATAL4, 24.
		SeverityNumber:         logspb.SeverityNumber(r.Severity()),
		SeverityText:           r.SeverityText(),
		EventName:              r.EventName(),
		Body:                   encodeValue(r.Body()),
		DroppedAttributesCount: uint32(r.DroppedAttributes()),
		Flags:                  uint32(r.TraceFlags()),
	}
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		out.Attributes = append(out.Attributes, &commonpb.KeyValue{Key: valid(string(kv.Key)), Value: encodeValue(kv.Value)})
		return true
	})
	if id := r.TraceID(); id.IsValid() {
		out.TraceId = id[:]
	}
	if id := r.SpanID(); id.IsValid() {
		out.SpanId = id[:]
	}
	return out
}

// atLevelOf lets through to a handler what another handler's level lets through.
type atLevelOf struct {
	level slog.Handler
	slog.Handler
}

// Enabled implements slog.Handler.
func (h atLevelOf) Enabled(ctx context.Context, level slog.Level) bool {
	return h.level.Enabled(ctx, level) && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h atLevelOf) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLevelOf{level: h.level, Handler: h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h atLevelOf) WithGroup(name string) slog.Handler {
	return atLevelOf{level: h.level, Handler: h.Handler.WithGroup(name)}
}
