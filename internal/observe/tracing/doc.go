// Package tracing makes the provider's spans, by OpenTelemetry's semantic conventions for messaging, and carries traces
// across: from a record's headers into the call of the component, and from a component's call into the headers of the
// records that it publishes. W3C Trace Context and Baggage have the same header names in Kafka and in the lattice.
//
// A [Tracer] is the process's, a [Link] that of one link. The receivers of front-ends make a [Span] for each call
// (Process, ProcessBatch), routes one for each publish and request (Send, Request); spans of batches link to the traces
// of their records. The package exports nothing, otlp does, and starts no goroutine.
//
// A nil [Tracer], [Link] or [Span] is tracing that is off: it makes no span, allocates nothing, and what carries traces
// passes them on as they came.
package tracing
