// Package records speaks the WIT package messaging-kafka:records@0.1.0 over wRPC: it serves the interfaces producer
// and requester, which components import, and calls the interfaces handler and processor, which they export.
//
// Its Append and Decode functions are the encoding of the package's types in both directions, so that a stand-in for
// a component can be built from them as well. They translate to the types of the package record:
//
//   - Bytes that are valid UTF-8 go out as text, others as bytes, nil as none. What comes in as text or bytes is
//     never nil.
//   - The names of topics and headers are strings. What is not UTF-8 in one (only Kafka clients that do not heed the
//     protocol can have written it) is replaced by U+FFFD.
//   - Times before 1970, which Kafka uses for "no timestamp", go out as 0.
//   - The offset -1, which Kafka's clients have where the broker tells none (acks=none), goes out as the largest u64.
//   - Partitions and timestamps that Kafka's types cannot hold come in as the largest that they can. No topic has that
//     partition and no record that time, so that they are refused where the record is produced and not with the call.
//
// Decoded keys, values and headers share memory with the messages that they came in, and with one another's.
package records

const (
	handlerInstance   = "messaging-kafka:records/handler@0.1.0"
	processorInstance = "messaging-kafka:records/processor@0.1.0"
	producerInstance  = "messaging-kafka:records/producer@0.1.0"
	requesterInstance = "messaging-kafka:records/requester@0.1.0"
)

// Bounds of one call. An element takes fewer bytes on the wire than in memory, so the bound of a call's bytes alone
// would let a peer have us hold a multiple of them.
const (
	// maxRecords is how many records one list, or the lists of one result together, may have.
	maxRecords = 1 << 18
	// maxHeaders is how many headers all records of a call together may have.
	maxHeaders = 1 << 20
)
