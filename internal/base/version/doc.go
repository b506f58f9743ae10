// Package version tells which build of the program this is.
//
// [Get] returns the version and the commit, which the Makefile sets by the linker, with the version of Go, the target
// and the modules that were built in. Without the Makefile they come from what Go records itself: `go install` knows
// the module's version, `go build` in a checkout the commit.
//
// `messaging-kafka version`, the metric build_info, the status, and the resource of exported telemetry show it.
// Kafka's brokers and NATS see the version as the name of the client's software.
package version
