// Package messaging speaks the WIT package wasmcloud:messaging@0.2.0 over wRPC: it serves the interface consumer,
// which components import, and calls the interface handler, which they export. A host serves and uses the same
// functions for components that are written against 0.3.0.
//
// [Register] serves publish and request, and hands them to a [Consumer], which is provider's. A [HandlerClient] calls
// handle-message of components: [HandlerClient.Component] prepares calls of one, [Component.HandleMessage] makes one.
// An error that the component itself returned is a [GuestError]; all others say what became of the call.
//
// The encoding of a message is here, the encoding of its parts wit's. What a message means for Kafka is payload's to
// know. It starts no goroutine: calls run in those of wrpc.
package messaging
