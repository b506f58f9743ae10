// Package refusal reads what a NATS server refuses a connection: a subscription or a publish that the user has no
// right to.
//
// The server says it in a text that is part of NATS's protocol, and nats.go hands that text on as it is, without a
// type. [Of] makes a [Refusal] of it, with the subject and whether it was a subscription. It is read here and nowhere
// else, so that a change of the text has one place.
//
// wasmcloud/lattice turns a refusal of its own subjects into a problem that health names, wasmcloud/wrpc ends the calls
// that a refusal concerns, which would otherwise wait for their time-out, and bridge/natsconn does both. It keeps no
// state.
package refusal
