// Package hostdata reads what a wasmCloud host tells a capability provider when it starts it: one line on standard
// input, the base64 of a JSON object, after which the host closes the pipe. The shape is that of wasmCloud 1.9
// (wasmcloud-core, HostData).
//
// [Read] waits for the line, as long as a host may take; [Decode] makes a [Data] of it, and [DecodeLink] a [Link] of a
// message that puts one. Read has one goroutine, for the reading of standard input itself, which nothing can
// interrupt: where the context ends first the goroutine stays, and the process ends.
//
// Much of it is secret, or may be: credentials of the lattice, the provider's curve key, secrets, and configuration in
// which somebody put a password. Nothing of this package shows any of it when it is formatted, logged or marshalled
// with encoding/json, and no error of it holds a value that was read.
package hostdata
