package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"messaging-kafka/internal/dispatch"
)

const namespace = "messaging_kafka"

// Metrics are the counts of the whole provider, by link.
type Metrics struct {
	Registry *prometheus.Registry

	deliveries *prometheus.CounterVec
	delivery   *prometheus.HistogramVec
	buried     *prometheus.CounterVec
	records    *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	rebalances *prometheus.CounterVec
	missed     *prometheus.CounterVec
	commits    *prometheus.CounterVec
	publishes  *prometheus.CounterVec
	publish    *prometheus.HistogramVec
	requests   *prometheus.CounterVec
	request    *prometheus.HistogramVec
}

// byLink are the labels of every metric of a link.
var byLink = []string{"component", "link"}

// buckets reach from a call answered on the same machine to one that uses up the default handle_timeout.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// NewMetrics makes the metrics with a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, append(labels, byLink...))
		m.Registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, byLink)
		m.Registry.MustRegister(h)
		return h
	}
	m.deliveries = counter("deliveries_total", "Calls of the component, by how they ended; skipped are tombstones that cause none.", "outcome")
	m.delivery = histogram("delivery_seconds", "Duration of calls of the component.")
	m.buried = counter("buried_records_total", "Records that no delivery could help: dead-lettered, or skipped for want of a dead_letter_topic.", "fate")
	m.records = counter("fetched_records_total", "Records read from Kafka.")
	m.bytes = counter("fetched_bytes_total", "Bytes of keys, values and headers read from Kafka.")
	m.rebalances = counter("rebalances_total", "Assignments of partitions by the group.")
	m.missed = counter("missed_records_total", "Records that were gone from a topic before they could be read.")
	m.commits = counter("commits_total", "Commits of offsets.", "result")
	m.publishes = counter("publishes_total", "Records that the component published, by the class of the result.", "class")
	m.publish = histogram("publish_seconds", "Duration of publishes until Kafka acknowledged.")
	m.request = histogram("request_seconds", "Duration of requests over Kafka until their answer came.")
	m.requests = counter("requests_total", "Requests over Kafka, by how they ended.", "result")
	m.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Link returns the metrics of one link. They implement the observers of the packages that do the work.
func (m *Metrics) Link(component, link string) *LinkMetrics {
	l := &LinkMetrics{metrics: m, labels: prometheus.Labels{"component": component, "link": link}}
	l.deliveries = m.deliveries.MustCurryWith(l.labels)
	l.delivery = m.delivery.With(l.labels)
	l.buried = m.buried.MustCurryWith(l.labels)
	l.records = m.records.With(l.labels)
	l.bytes = m.bytes.With(l.labels)
	l.rebalances = m.rebalances.With(l.labels)
	l.missed = m.missed.With(l.labels)
	l.commits = m.commits.MustCurryWith(l.labels)
	l.publishes = m.publishes.MustCurryWith(l.labels)
	l.publish = m.publish.With(l.labels)
	l.request = m.request.With(l.labels)
	l.requests = m.requests.MustCurryWith(l.labels)
	for _, o := range dispatch.Outcomes {
		l.deliveries.WithLabelValues(string(o)) // a counter that is there from the start shows its first step
	}
	return l
}

// LinkMetrics are the counts of one link. Their methods may be called by many goroutines at once.
type LinkMetrics struct {
	metrics *Metrics
	labels  prometheus.Labels

	deliveries, buried, commits, publishes, requests *prometheus.CounterVec
	records, bytes, rebalances, missed               prometheus.Counter
	delivery, publish, request                       prometheus.Observer
}

// Delivered implements dispatch.Observer.
func (l *LinkMetrics) Delivered(o dispatch.Outcome, took time.Duration) {
	l.deliveries.WithLabelValues(string(o)).Inc()
	if o == dispatch.OutcomeSkipped {
		return // there was no call to time
	}
	l.delivery.Observe(took.Seconds())
}

// Buried implements dispatch.Observer.
func (l *LinkMetrics) Buried(deadLettered bool) {
	fate := "skipped"
	if deadLettered {
		fate = "dead_lettered"
	}
	l.buried.WithLabelValues(fate).Inc()
}

// Fetched implements consume.Observer.
func (l *LinkMetrics) Fetched(records, bytes int) {
	l.records.Add(float64(records))
	l.bytes.Add(float64(bytes))
}

// Rebalanced implements consume.Observer.
func (l *LinkMetrics) Rebalanced() { l.rebalances.Inc() }

// Missed implements consume.Observer.
func (l *LinkMetrics) Missed(records int64) { l.missed.Add(float64(records)) }

// Committed implements consume.Observer.
func (l *LinkMetrics) Committed(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	l.commits.WithLabelValues(result).Inc()
}

// Published counts one publish of the component. class is one of a closed list.
func (l *LinkMetrics) Published(class string, took time.Duration) {
	l.publishes.WithLabelValues(class).Inc()
	l.publish.Observe(took.Seconds())
}

// Answered implements request.Observer.
func (l *LinkMetrics) Answered(took time.Duration) {
	l.requests.WithLabelValues("answered").Inc()
	l.request.Observe(took.Seconds())
}

// TimedOut implements request.Observer.
func (l *LinkMetrics) TimedOut() { l.requests.WithLabelValues("timed_out").Inc() }

// Late implements request.Observer.
func (l *LinkMetrics) Late() { l.requests.WithLabelValues("late_answer").Inc() }

// Remove takes the link's metrics away when the link is deleted.
func (l *LinkMetrics) Remove() {
	m := l.metrics
	for _, v := range []*prometheus.CounterVec{m.deliveries, m.buried, m.records, m.bytes, m.rebalances, m.missed, m.commits, m.publishes, m.requests} {
		v.DeletePartialMatch(l.labels)
	}
	m.delivery.DeletePartialMatch(l.labels)
	m.publish.DeletePartialMatch(l.labels)
	m.request.DeletePartialMatch(l.labels)
}
