// Package wit encodes and decodes values of WIT types in the value encoding of the WebAssembly component model: LEB128
// numbers, strings and lists with their length before them, options and results as a byte, fields and elements one
// after another. It is what wRPC sends, and the bodies of records over HTTP.
//
// The Append functions encode, a [Decoder] decodes, from bytes or from a stream that is still to come. Beside the
// primitive types the package knows those of messaging-kafka:records@0.1.0, which it translates to the types of the
// package record:
//
//   - Bytes that are valid UTF-8 go out as text, others as bytes, nil as none. What comes in as text or bytes is
//     never nil.
//   - The names of topics and headers are strings. Invalid UTF-8 in one (only Kafka clients that do not heed the
//     protocol can have written it) becomes U+FFFD.
//   - Times before 1970, which Kafka uses for "no timestamp", go out as 0.
//   - The offset -1, which Kafka's clients have where the broker tells none (acks=none), goes out as the largest u64.
//   - Partitions and timestamps that Kafka's types cannot hold come in as the largest that they can. No topic has that
//     partition and no record that time, so that they are refused where the record is produced and not with the call.
//
// Decoded keys, values and headers share memory with the messages that they came in, and with one another's.
package wit

// Bounds of one call. An element takes fewer bytes on the wire than in memory, so the bound of a call's bytes alone
// would let a peer have us hold a multiple of them.
const (
	// maxRecords is how many records one list, or the lists of one result together, may have.
	maxRecords = 1 << 18
	// maxHeaders is how many headers all records of a call together may have.
	maxHeaders = 1 << 20
)

// Holder counts what is made of what a [Source] yields, which may be the Holder itself: n more bytes are held from now
// on, or fewer where n is below 0. An error is what the [Decoder] reports instead of the value.
type Holder interface {
	Hold(n int64) error
}
