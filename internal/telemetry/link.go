package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"messaging-kafka/internal/dispatch"
)

// LinkMetrics are the counts of one link. They implement the observers of the packages that do the work. Their methods
// may be called by many goroutines at once.
type LinkMetrics struct {
	metrics *Metrics
	labels  prometheus.Labels

	// What comes with every record is looked up once, here, and not each time.
	outcomes                                    map[dispatch.Outcome]prometheus.Counter
	committed, notCommitted                     prometheus.Counter
	records, bytes, rebalances, missed          prometheus.Counter
	repeated, publishedRecords, publishedBytes  prometheus.Counter
	publishes, buried, requests, transactions   *prometheus.CounterVec
	delivery, publish, request, batch, transact prometheus.Observer
}

// Link returns the metrics of one link. Those of the same component and name are the same.
func (m *Metrics) Link(component, link string) *LinkMetrics {
	l := &LinkMetrics{
		metrics: m, labels: prometheus.Labels{"component": component, "link": link},
		outcomes: make(map[dispatch.Outcome]prometheus.Counter, len(dispatch.Outcomes)),
	}
	one := func(d *metric) prometheus.Counter { return m.counters[d].With(l.labels) }
	many := func(d *metric) *prometheus.CounterVec { return m.counters[d].MustCurryWith(l.labels) }
	observer := func(d *metric) prometheus.Observer { return m.histograms[d].With(l.labels) }

	l.records, l.bytes = one(fetchedRecords), one(fetchedBytes)
	l.rebalances, l.missed, l.repeated = one(rebalances), one(missedRecords), one(redeliveries)
	l.publishedRecords, l.publishedBytes = one(publishedRecords), one(publishedBytes)
	l.publishes, l.buried, l.requests, l.transactions = many(publishes), many(buriedRecords), many(requests), many(transactions)
	l.delivery, l.publish, l.request = observer(deliverySeconds), observer(publishSeconds), observer(requestSeconds)
	l.batch, l.transact = observer(batchRecords), observer(transactionSeconds)
	// A counter that is there from the start shows its first step, so those are made that an alert may stand on.
	for _, o := range dispatch.Outcomes {
		l.outcomes[o] = many(deliveries).WithLabelValues(string(o))
	}
	l.committed, l.notCommitted = many(commits).WithLabelValues("ok"), many(commits).WithLabelValues("error")
	l.buried.WithLabelValues(deadLettered)
	l.buried.WithLabelValues(skipped)
	l.publishes.WithLabelValues("ok")
	return l
}

// Values of the label fate.
const (
	deadLettered = "dead_lettered"
	skipped      = "skipped"
)

// Delivered implements dispatch.Observer.
func (l *LinkMetrics) Delivered(o dispatch.Outcome, took time.Duration) {
	l.outcomes[o].Inc()
	if o == dispatch.OutcomeSkipped {
		return // there was no call to time
	}
	l.delivery.Observe(took.Seconds())
}

// Repeated implements dispatch.Observer.
func (l *LinkMetrics) Repeated() { l.repeated.Inc() }

// Batched implements dispatch.Observer.
func (l *LinkMetrics) Batched(records int) { l.batch.Observe(float64(records)) }

// Buried implements dispatch.Observer.
func (l *LinkMetrics) Buried(written bool) {
	fate := skipped
	if written {
		fate = deadLettered
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
	if err != nil {
		l.notCommitted.Inc()
		return
	}
	l.committed.Inc()
}

// Transaction implements consume.Observer.
func (l *LinkMetrics) Transaction(err error, took time.Duration, records, bytes int) {
	l.transact.Observe(took.Seconds())
	if err != nil {
		l.transactions.WithLabelValues("aborted").Inc()
		return
	}
	l.transactions.WithLabelValues("committed").Inc()
	l.Stored(records, bytes)
}

// Published counts one publish of the component. class is one of a closed list.
func (l *LinkMetrics) Published(class string, took time.Duration) {
	l.publishes.WithLabelValues(class).Inc()
	l.publish.Observe(took.Seconds())
}

// Stored counts records for the component that Kafka has acknowledged.
func (l *LinkMetrics) Stored(records, bytes int) {
	l.publishedRecords.Add(float64(records))
	l.publishedBytes.Add(float64(bytes))
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
	for _, v := range l.metrics.counters {
		v.DeletePartialMatch(l.labels)
	}
	for _, v := range l.metrics.histograms {
		v.DeletePartialMatch(l.labels)
	}
}
