// Package bridge is the front-end for everything that speaks HTTP or NATS: it carries out the routes of a file. A
// route hands the records of its topics over by [httpout] or [natsout], lets callers publish by [httpin], or both.
//
// [Run] is one bridge from its start to its end, by `messaging-kafka bridge`. It reads the file ([config]), has the
// process around it ([process.Start]), opens a [route.Route] for each entry, and applies the file again when it
// changes. What it does with a file is here; what a file may say is config's to know, and what becomes of records is
// the engine's.
//
// Run owns every goroutine that it starts, and waits for each before it returns. It stops in the order of all
// front-ends: reading first, then callers, then the routes. The package knows no Kafka client.
package bridge
