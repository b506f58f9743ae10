// Package status is what a running provider tells of itself to people: which links it has, what each is doing and why
// one is not well. It is served as JSON by GET /links of the admin address and by the NATS subject
// wasmbus.rpc.{lattice}.{provider key}.status, and read by the page and by `messaging-kafka status`.
//
// [Provider], [Link] and [Partition] are that JSON, [Encode] writes it within a limit. A [Problem] has a [ProblemKind]
// for programs and a text for people; [Problems.State] makes a [State] of them, so that no state is ever read out of a
// text. [Events] keep the last errors and dead letters of a link, which [LogTo] takes from its log; a [Tracker] works
// out rates.
//
// The JSON keeps its names: fields are added, never renamed. All durations are seconds, all times RFC 3339. Nothing
// here ever holds a record's key, value or headers, or a secret. The package starts no goroutine.
package status
