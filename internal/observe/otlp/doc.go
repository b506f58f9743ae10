// Package otlp sends the provider's traces, metrics and logs to an OpenTelemetry collector by the OpenTelemetry
// protocol (OTLP 1.x), over HTTP with protobuf bodies or over gRPC. The host's otel_config, keys of the provider's own
// config and the OTEL_* variables say what, where to and how; by default nothing is sent, and nothing runs.
//
// OpenTelemetry's own exporters do the sending. What is here reads the configuration of all its sources, bounds each
// export and the shutdown in time, and counts what became of what was to be sent.
//
// Nothing here ever holds up a record. Spans and log lines wait in queues of fixed size and are dropped when these are
// full, and a collector that does not answer costs log lines on standard error, a few an hour.
package otlp
