// Package httpout hands records over by HTTP: each type that it has is a [record.Receiver] of one route. [Records]
// sends batches of whole records and gets a verdict, or the outputs, of each; [Messages] does so for components of
// wasmcloud:messaging; [Events] sends CloudEvents, whose answer is the verdict.
//
// What an answer means is decided in one place, by its status (see docs/bridge.md, "Signals"), and so is whether
// anybody has taken a request that got none. Requests go to the URL of the route alone: redirects are not followed, so
// that neither records nor credentials go where nobody named.
package httpout
