// Package chaos breaks things while records flow through copies of the provider and of a bridge, and counts the
// records.
//
// A real Kafka of three brokers, copies of the program as processes of their own, and a stand-in component that writes
// every call down, run while brokers, copies, connections, the component and the link are killed, stopped, paused and
// changed by a schedule that a seed fixes. When all of it has been mended and the records have run dry, a ledger of
// everything that was seen is held against rules.
//
// Beside them, two copies of a bridge hand the records of another topic over by HTTP, in transactions, to an
// application that fails, hangs, answers for too few or too many records, breaks its answers off and is killed. They
// are killed, stopped and paused as well, and have the same brokers. What came out is counted as test/exactlyonce
// counts it.
//
// What the ledger knows comes from outside the provider: from the component, from Kafka, from the NATS server, from
// the processes, and from the provider's ordinary log. Three files hold no more than arithmetic and are tested by
// themselves: ledger.go says what was seen, rules.go what must hold, schedule.go what is broken when.
//
// test/chaos.sh runs it.
package chaos
