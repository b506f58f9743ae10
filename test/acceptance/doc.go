// Package acceptance is one suite for all front-ends: what a lattice of wasmCloud does with records, and what a
// bridge over HTTP or NATS does, is asked by the same tests, which know of neither. Behind each front-end stands an
// application that does as the values of records tell it: stand-ins in Go, and the test components (test/components)
// in a host of wasi:http, behind the shims. Over NATS it is in a stand-in for a host of wasmCloud 2.x, which cannot
// be built from published packages.
//
// What a front-end cannot do is said where the front-end is described (see frontEnds), each with its reason, and the
// table in docs/bridge.md is made of that. Everything else has to pass.
//
//	go test -race -tags acceptance ./test/acceptance
//	go test -tags acceptance ./test/acceptance -run TestTheTable -update    writes the table anew
package acceptance
