// Package dispatch decides which record goes to a component when: it keeps the order that a link asks for, bounds
// what is in flight, retries failures with back-off, sends hopeless records to the dead-letter topic and says up to
// which offset a partition is finished. It knows neither Kafka's client nor NATS.
//
// Records wait in lanes. A lane is a queue in which each record waits for the verdict on the one before: one lane
// per key, per partition or per record, as settings.Order says. Lanes whose head may be called stand in one ready
// queue; up to MaxInFlight heads are with the component at a time.
//
// One mutex, Dispatcher.mu, protects everything here. It is never held while a component, Kafka or a caller's
// function is at work. Each call is a goroutine of its own, owned by its partition: [Partition.Close] and
// [Partition.Abandon] return only when all calls of the partition have.
package dispatch
