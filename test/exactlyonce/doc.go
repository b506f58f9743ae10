// Package exactlyonce counts what comes out of components that turn records into records while everything around them
// breaks: with transactions=true each output must be there exactly once.
//
// A real Kafka of three brokers, copies of the program as processes of their own and stand-in components run while
// copies are killed, moved to other hosts, paused until the group has given them up, and doubled, while brokers are
// killed and paused, connections cut and links put anew. Several pipelines go through the same faults side by side:
// with and without transactions, by both group protocols. In the end readers count: tally.go says what must hold, and
// is tested by itself.
//
// test/exactlyonce.sh runs it.
package exactlyonce
