// Package dispatch decides which record goes to a component when: it keeps the order that a link asks for, bounds what
// is in flight, retries failures with back-off, sends hopeless records to the dead-letter topic and says up to which
// offset a partition is finished. It knows neither Kafka's client nor NATS.
//
// Records wait in lanes. A lane is a queue in which each record waits for the outcome of the one before: one lane per
// key, per partition or per record, as [settings.Order] says. Lanes whose head may be called take turns by the age of
// their head; up to MaxInFlight heads are with the component at a time.
//
// consume opens a [Partition] for each assignment, adds records, and asks [Partition.Position] what can be committed.
// [Caller] makes all calls of a [record.Receiver], [Judge] decides all that follows from an outcome, for share groups
// too.
//
// One mutex, Dispatcher.mu, protects everything here. It is never held while a component, Kafka or a caller's function
// is at work. Each call is a goroutine of its own, owned by its partition: [Partition.Close] and [Partition.Abandon]
// return only when all calls of the partition have.
package dispatch
