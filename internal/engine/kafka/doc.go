// Package kafka knows how to reach a Kafka cluster: connections, encryption, authentication, and what an error of any
// of them means for the person who has to mend it. It produces and consumes nothing itself.
//
// An [Access] is one cluster with credentials: [Access.Options] are the options of a Kafka client that uses it, and
// [Access.Update] exchanges credentials while clients go on. [Explain] and [Access.Explain] turn an error into a
// [Diagnosis]: a [Class] for programs, a text that names the cause and the setting for people. [Fetched] bounds in
// bytes what a client fetches and decompresses, [StableOffsets] watches for open transactions that hold back readers,
// and [CreateTopic] creates topics.
//
// consume, produce and request make their clients with it, `check` tries it out step by step. It is the one package
// that knows TLS, SASL and tokens. It starts no goroutine: hooks and dials run in those of the client that uses them.
package kafka
