// Package natsconn has the connections of a bridge to NATS: one for each cluster and credentials, whichever routes use
// it. The bridge makes one [Pool] for its process; natsout takes connections of it.
//
// A connection is made in the background and again for ever: [Pool.Acquire] returns at once, and what cannot go
// meanwhile fails with [AwayError]. Nothing is kept for later while there is no connection: whoever hands a record over
// is told at once, and holds it. [Pool.Problems] is what is wrong, for health.
//
// [Conn.Request] is nats.go's request with two things more: whoever answers may ask for time, and a request whose
// connection breaks is known to be lost.
//
// A connection owns its goroutines, those of nats.go included: [Conn.Release] waits for them, for a bounded time. No
// error and no line of the log has a secret.
package natsconn
