// Package fleet is what suites share that run several processes of the program against a real Kafka and break things
// meanwhile: how the program is built, what is broken when, and how the cluster is seen from outside.
package fleet
