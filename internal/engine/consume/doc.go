// Package consume reads the topics of one link as a member of its Kafka group, feeds a dispatch.Dispatcher and
// commits what that says is finished. It knows nothing of NATS.
//
// A [Consumer] owns one supervisor goroutine, which runs one session after another: a session is one Kafka client
// with its partitions. A session ends only by Stop or by something that a Kafka client cannot recover from by
// itself, such as a topic that was deleted and created anew. Five goroutines belong to a session, and its close
// waits for them: the poll loop, the pacer, the committer, the monitor and, in a classic group, the guard of its fence.
//
// Two locks: session.mu protects the map of assigned partitions and is held for moments only; session.committing is
// held for the length of a commit. They are taken in the order committing, mu. Kafka's client calls the session back
// on assignment, revocation and loss of partitions; those calls never run beside each other, and never between a
// poll and the moment its records are with the dispatcher (BlockRebalanceOnPoll), so that a record read before a
// revocation cannot be dispatched after it.
package consume
