// Package par writes and verifies provider archives: the files that a wasmCloud host loads a capability provider from.
//
// An archive is a tar file, gzip-compressed or not, with one binary for each kind of machine and a signed token that
// says whose they are and what their hashes are. The same inputs, keys and options always make the same bytes.
//
// [Build] and [BuildFile] write one, [Verify] reads one and checks its signature and hashes, [Key] is an nkey of an
// issuer or a subject. `messaging-kafka par` and the release script use them. Archives come from anybody, so every
// size in one has a bound. Binaries are streamed and never held in memory as a whole. The package starts no goroutine.
package par
