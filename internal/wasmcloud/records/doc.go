// Package records speaks the WIT package messaging-kafka:records@0.1.0 over wRPC: it serves the interfaces producer
// and requester, which components import, and calls the interfaces handler and processor, which they export.
//
// [Register] serves send and request, and hands them to a [Producer], which is provider's. A [HandlerClient] hands
// batches of records to a component: [HandlerClient.Handle] gets a verdict for each, [HandlerClient.Process] the
// records that it made of each as well. [HandlerClient.WithBase64] is for components that want bytes as base64.
//
// The encoding of the types is wit's, and the bridge has the same types in the bodies of HTTP. What a verdict leads to
// is dispatch's to decide. It starts no goroutine: calls run in those of wrpc.
package records

const (
	handlerInstance   = "messaging-kafka:records/handler@0.1.0"
	processorInstance = "messaging-kafka:records/processor@0.1.0"
	producerInstance  = "messaging-kafka:records/producer@0.1.0"
	requesterInstance = "messaging-kafka:records/requester@0.1.0"
)
