// Package route puts to work what links ask for: a [Route] reads topics for somebody, publishes for somebody, or both, and
// a [Set] holds all routes of the process. It knows Kafka and nothing of those on the other side of it: whoever takes
// records gives it a way to hand them over, whoever publishes calls [Route.Publish].
package route
