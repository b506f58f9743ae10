// Package natsout hands records over by NATS, each as a message of its own. [Reply] makes a request of each, whose
// reply is the verdict (deliver=nats-reply); [Stream] stores them in a stream (deliver=jetstream); [Plain] publishes
// them and never knows more (deliver=nats). Each is a [record.Receiver] of one route, which the bridge makes for the
// engine.
//
// What a reply means is decided in one place (verdict.go), in the words that JetStream has for consumers, so that one
// component can be fed by either. What becomes of a message without an answer is decided in another (sender.go).
//
// What consumers of a stream give up becomes dead letters of the route, where it asks for that (advisories.go): a
// Stream has one goroutine then, which its Close waits for.
//
// It keeps nothing of a record after Receive. Headers that mean something to NATS are never taken from a record.
package natsout
