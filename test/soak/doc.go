// Package soak runs the provider for minutes or hours and looks at what it holds on to.
//
// The program runs as a process of its own over a NATS server and a real Kafka, with stand-in components. The load
// rises and falls; links come, change and go all the time, with good settings, bad ones and brokers that are not
// there; components hang, refuse and vanish; connections break. Before the load and after it, when all that came has
// gone and the numbers have come to rest, the process must hold the same: goroutines, descriptors, subscriptions,
// connections, memory. Under load its memory must not grow from one cycle to a later one. And no record may be lost.
//
// What is measured comes from the process's own metrics, from the NATS server and from the proxies before Kafka. These
// files hold no more than arithmetic and are tested by themselves: run.go says what was seen, judge.go what must hold,
// text.go and svg.go draw it.
//
// test/README.md says how to run it.
package soak
