// Package wrpc speaks version 0.0.1 of wRPC over NATS as wasmCloud 1.9 hosts do: [Client] calls functions that
// components export, [Server] serves functions that components import.
//
// # One call on the wire
//
// The caller publishes on the invocation subject "{lattice}.{id}.wrpc.0.0.1.{instance}.{function}" with a reply
// subject Rc; the payload is as much of the encoded parameters as fits. The server accepts with an empty message to
// Rc whose reply subject is Rs. The caller publishes the rest of the parameters on "Rs.params" and closes them with
// an empty message, which it sends for complete first messages too. The server publishes the encoded results on
// "Rc.results" and closes them with an empty message. Parameters and results are byte streams: the borders of the
// messages mean nothing. There is no error payload: results that end before the value is complete are how a peer
// reports that a call failed.
//
// # Two races of the Rust transport
//
// The Rust transport of the hosts (wrpc-transport-nats 0.29) takes "a new subscription" and "a message came" from
// two queues in random order, and drops a message whose subscription it has not seen yet. A quick accept can thus
// be lost and the call would hang. The server therefore repeats its accept until the caller's end of the parameters
// shows that it was taken, and sends results only then. The client in turn pauses before it sends further parts of
// parameters.
package wrpc
