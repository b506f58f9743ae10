// Package httpin serves HTTP to those who produce to Kafka: records in the forms that Kafka's users know from REST
// proxies, and what components ask of messaging-kafka:records and wasmcloud:messaging, in bodies of [wit].
//
// Nobody is trusted. Who asks is known by a token or a certificate, before anything of the body is read; what a body
// may hold is counted while it comes; and how many requests run at once is bounded for each caller.
//
// What the requests do is a route's: the package knows neither Kafka nor its settings.
package httpin
