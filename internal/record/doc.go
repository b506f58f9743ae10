// Package record holds the types that the engine and its front-ends share. It knows neither Kafka's client nor NATS,
// which is what lets the engine be tested without either.
//
// A [Record] is a Kafka record on its way to whoever handles it, an [Outgoing] one that is to be produced, a [Result]
// what became of that. A [Receiver] takes a batch of records and gives an [Outcome] for each: its [Kind] says whether
// the record is done, comes again, or is given up, and its Outputs are what is to be produced of it. Receiver is the
// whole of the seam between the engine and a front-end: the one calls it, the other has it.
//
// A [ReplyAddress] is where a request wants its answer, in Kafka's headers and in subjects of NATS; a [NamedSubject]
// is a subject with a key and headers in it. Sizes and costs of records in memory are computed here too, so that all
// bounds count the same.
package record
