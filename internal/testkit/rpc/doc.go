// Package rpc has both ends of wRPC for the tests of what is spoken over it.
//
// A pair is an embedded NATS server, a wrpc.Server and a wrpc.Client that call each other. The packages messaging and
// records serve an interface at one end and call it at the other, so that their tests see the bytes that a host would.
//
// It is a package of its own, beside testkit, since testkit must not import what it helps to test. The test's clean-up
// closes both ends and waits for them. Only tests import it.
package rpc
