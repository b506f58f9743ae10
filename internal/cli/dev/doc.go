// Package dev runs a whole small lattice in one process: a NATS server, a Kafka, the provider as a host would run it,
// and a stand-in for the component echo. What is typed goes to Kafka, through all of it, and back. It is the work of
// `messaging-kafka dev`.
//
// [Run] starts the parts one after another, prints where they are, and ends them in the opposite order; it waits for
// each goroutine that it starts. [Options] say which parts are somebody else's: a Kafka or a NATS server that is there
// already.
//
// [RunComponent] has a component of somebody's own, or a program that listens already, in place of the stand-in: it
// composes the component with its shims, has wasmtime serve it, and runs a bridge between that and Kafka.
//
// The provider is not run in any way of its own: it gets encoded host data, its link and its shutdown come over NATS,
// and the component is on the other side of wRPC. Provider archives leave the package out (build tag nodev), for the
// two embedded servers are large.
package dev
