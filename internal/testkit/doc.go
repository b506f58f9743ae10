// Package testkit holds what the project's tests stand on: an embedded nats-server, a fake and a real Kafka, a fake
// and a real wasmCloud host, a stand-in component, a proxy that breaks connections, and the waiting and leak checks
// that go with them.
//
// It fakes the provider's peers and never the provider's own code. The stand-in component and the fake host
// therefore speak the lattice's protocol by themselves, without the packages under test: a mistake in those cannot
// hide behind the same mistake here.
//
// Everything that a function of this package starts is stopped by the test's own clean-up, which waits until it is
// gone. A package whose tests start goroutines hands its TestMain to [Main], which looks for goroutines left over.
//
// Only tests and development tools import testkit.
package testkit
