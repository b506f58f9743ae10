// Package consume reads the topics of one link as a member of its Kafka group, feeds a [dispatch.Dispatcher] and
// commits what that says is finished. It knows nothing of NATS.
//
// [Start] makes a [Consumer], which owns one supervisor goroutine that runs one session after another: a session is
// one Kafka client with its partitions (session.go; share.go for share groups). A session ends only by [Consumer.Stop]
// or by something that a Kafka client cannot recover from by itself, such as a topic that was deleted and created
// anew. Its goroutines (poll.go, commit.go, monitor.go, progress.go, idle.go, fence.go, outputs.go) end with it, and
// its close waits for them; DESIGN.md lists them.
//
// Two locks: session.mu protects the map of assigned partitions and is held for moments only; session.committing is
// held for the length of a commit. They are taken in the order committing, mu. Kafka's client calls the session back
// on assignment, revocation and loss of partitions (group.go); those calls never run beside each other, and never
// between a poll and the moment its records are with the dispatcher (BlockRebalanceOnPoll), so that a record read
// before a revocation cannot be dispatched after it.
//
// An offset is committed only when everything below it is finished, and never for a partition that was lost.
package consume
