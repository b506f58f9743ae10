// Package backoff says how long to wait before what has failed is tried again, and waits.
//
// A [Backoff] is two durations: the wait after the first failure, and the longest one. [Backoff.After] doubles from
// one to the other, [Backoff.Spread] makes some of it random, so that many that failed together do not come back
// together. [Sleep] waits, and tells whether the context ended first.
//
// All parts of the provider that try again use it: sessions of a consumer, lanes of the dispatcher, renewals of
// tokens, the connection to the lattice. It keeps no state: whoever tries again counts the failures. It starts no
// goroutine.
package backoff
