// Package lattice speaks a wasmCloud 1.x host's side channel to a capability provider over NATS: links that are put
// and deleted, configuration, health, status and shutdown. Calls between components and the provider are not its
// business; they use the same connection, see [Session.Conn].
//
// [Connect] connects with what the host gave, and [Session.Run] tells a [Handler] what it learns, in the order in
// which the host said it and without repeats, until the host asks for shutdown, the parent process is gone or the
// context ends. A Handler that is a [StatusSource] or a [ScaleWatcher] as well is asked for its status, and told of
// components that are scaled.
//
// Run owns a goroutine that collects changes and one that hands them to the Handler, and waits for both. Health is
// answered in the callback of NATS, from memory. Answers go to inboxes alone (package reply), and what waits is
// bounded in number and bytes. It imports no Kafka client.
package lattice
