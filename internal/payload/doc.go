// Package payload turns Kafka records into messages of wasmcloud:messaging, and messages into records to publish.
//
// A [Form] does both for a link, as its settings say: what of a record becomes subject, body and reply-to, which topic
// an answer may go to, and what a subject names. With payload=envelope, key, headers and position are in the body as
// well: [Encode] writes a record as JSON, and [Decode] reads a record to publish from it. Both front-ends use it.
//
// An envelope is a CloudEvent 1.0 in the JSON event format, in structured mode. What CloudEvents has no attribute for
// is in extension attributes whose names begin with "kafka". Extension attributes can only be strings, numbers,
// booleans and the like, and most libraries refuse others, so that the headers are a JSON list within a string:
// nothing less keeps their order, repetitions and nulls. docs/envelope.md describes the members for authors of
// components.
//
// Where the specifications leave a choice, exactness decides: Decode makes the same key, value, headers and timestamp
// of what Encode has made, for every record. The package keeps no state and starts no goroutine.
package payload

// The extension attributes. CloudEvents allows lower-case letters and digits in names, and at most 20 of them.
const (
	attrTopic     = "kafkatopic"
	attrPartition = "kafkapartition"
	// attrOffset is a string: an Integer of CloudEvents has 32 bits.
	attrOffset  = "kafkaoffset"
	attrAttempt = "kafkaattempt"
	// attrTimestamp is the record's timestamp. It is not time, which belongs to the event: an event in a record has
	// a time of its own.
	attrTimestamp = "kafkatimestamp"
	attrKey       = "kafkakey"
	// attrKeyBase64 stands instead of attrKey for a key that cannot be a String of CloudEvents.
	attrKeyBase64 = "kafkakeybase64"
	attrHeaders   = "kafkaheaders"
	attrTombstone = "kafkatombstone"

	// ownPrefix keeps attributes of ours and of others apart.
	ownPrefix = "kafka"
)

// Members and attributes of CloudEvents.
const (
	memberData     = "data"
	memberBase64   = "data_base64"
	attrSpec       = "specversion"
	attrID         = "id"
	attrSource     = "source"
	attrType       = "type"
	attrTime       = "time"
	attrSubject    = "subject"
	attrDataSchema = "dataschema"
	attrDataType   = "datacontenttype"

	specVersion = "1.0"
)

// Type is the type of an event that stands for a record which holds none itself.
const Type = "messaging-kafka.record"

// Headers of the CloudEvents Kafka protocol binding. Kafka's header names differ by case; these are the ones it names.
const (
	headerPrefix      = "ce_"
	headerContentType = "content-type"
)
