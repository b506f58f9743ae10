// Package produce writes records to Kafka: one producer for each cluster identity, shared by all links that use it,
// with a bounded buffer; and for each link a [Publisher] that keeps to what the link allows.
//
// [Pool.Acquire] gives a [Handle] to the producer of a cluster and its credentials, made with the first user and
// closed with the last. [Publisher.Publish] and [Publisher.Send] prepare records (topic, partition, size), hand them
// to the client and return a result for each; a failure is an [Error] with a [Class] and with whether the record may
// be stored all the same. A [Transactor] commits records and offsets in one transaction for a consumer with
// `transactions=true`.
//
// route uses it for components, consume for dead letters and outputs. Callers wait in their own goroutines; the
// package starts one only to close a producer, and waits for it. A record that was handed over is Kafka's to decide,
// whoever stops waiting.
package produce
