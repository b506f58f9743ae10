// Package turn is a lock for work that waits for others, such as a broker.
//
// Whoever waits for a [Turn] can give up ([Turn.LockContext]), which a [sync.Mutex] does not allow, and waits in
// virtual time as in real time: testing/synctest does not see a goroutine that waits for a Mutex as blocked for good,
// so tests with virtual time would stand still.
//
// It is used where a lock is held for the length of a request: commits of a session, the second client of a producer,
// and the asking for a producer id. Everything that is held for moments only has a Mutex. DESIGN.md lists both kinds.
package turn
