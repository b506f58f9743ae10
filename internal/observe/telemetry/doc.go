// Package telemetry makes the provider's log and metrics.
//
// [NewLogger] writes the log as the host wants it, and [Limit] keeps lines that repeat from filling it. [Metrics] is
// the registry: [Metrics.Link] gives a link its [LinkMetrics], which is the Observer of consume, dispatch, produce and
// request and whose series go with its last user. Gauges are not kept up to date: they are read from a [Snapshot] when
// somebody scrapes. [Metrics.Client] returns the hooks that count what a Kafka client does.
//
// Every metric is declared once (declare.go), with its labels and its text, and docs/metrics.md is made of that.
// Counters on the way of a record are looked up once for each link. The package starts no goroutine and serves
// nothing: admin serves the metrics, otlp exports them.
package telemetry
