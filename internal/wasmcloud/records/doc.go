// Package records speaks the WIT package messaging-kafka:records@0.1.0 over wRPC: it serves the interfaces producer
// and requester, which components import, and calls the interfaces handler and processor, which they export. The
// encoding of the types is [wit]'s.
package records

const (
	handlerInstance   = "messaging-kafka:records/handler@0.1.0"
	processorInstance = "messaging-kafka:records/processor@0.1.0"
	producerInstance  = "messaging-kafka:records/producer@0.1.0"
	requesterInstance = "messaging-kafka:records/requester@0.1.0"
)
