// Package otlp sends the provider's traces, metrics and logs to an OpenTelemetry collector by the OpenTelemetry
// protocol (OTLP 1.x), over HTTP with protobuf bodies or over gRPC. The host's otel_config, keys of the provider's own
// config and the OTEL_* variables say what, where to and how; by default nothing is sent, and nothing runs.
//
// The two transports are requests of net/http: the gRPC that OTLP uses is one unary call, an HTTP/2 POST with a
// prefix of five bytes and a status in the trailers. The usual exporters link grpc-go, for OTLP over HTTP too, and
// would make the program a third larger.
//
// Nothing here ever holds up a record. Spans and log lines wait in queues of fixed size and are dropped when these are
// full, and a collector that does not answer costs log lines on standard error, a few an hour.
package otlp
