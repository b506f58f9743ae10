// Command messaging-kafka is a capability provider that connects Kafka with components of wasmCloud, and a bridge for
// everything that speaks HTTP.
//
// A wasmCloud host starts it without arguments and with its data on standard input. People run its commands:
//
//	messaging-kafka dev      the provider between an embedded NATS server and an embedded Kafka
//	messaging-kafka check    a link's way to Kafka, step by step
//	messaging-kafka status   what running providers tell
//	messaging-kafka bridge   the routes of a file, by HTTP
//	messaging-kafka par      provider archives
//
// All of it is in internal/cli; DESIGN.md is the way into the code.
package main
