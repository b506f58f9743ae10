// Package batches measures how many records a second go from topic to topic through a real wasmCloud host, one record a
// call and in batches.
package batches
