// Package collector is an OpenTelemetry collector for tests: it takes OTLP over HTTP and over gRPC, the latter with
// grpc-go, and keeps what comes.
//
// A test starts one, gives its address to what it tests, and waits for the spans, metrics and log lines that it
// expects. It can refuse, delay or drop what comes, as collectors in trouble do. It decodes with the protocol's own
// generated types and none of the provider's code, so that a mistake in the export cannot hide behind the same mistake
// here.
//
// It lives as long as the test that started it, whose clean-up waits for its servers. Only tests import it.
package collector
