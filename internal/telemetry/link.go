package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"messaging-kafka/internal/dispatch"
)

// LinkMetrics are the counts of one link. They implement the observers of the packages that do the work. Their methods
// may be called by many goroutines at once.
type LinkMetrics struct {
	metrics *Metrics
	key     linkKey
	labels  prometheus.Labels

	// mu guards removed, and keeps a series from being made anew by a call that ends after its link.
	mu      sync.RWMutex
	removed bool

	// What comes with every record is looked up once, here, and not each time.
	outcomes                                   map[dispatch.Outcome]prometheus.Counter
	committed, notCommitted, published         prometheus.Counter
	records, bytes, rebalances, missed         prometheus.Counter
	repeated, publishedRecords, publishedBytes prometheus.Counter
	publishes, buried, requests, transactions  *prometheus.CounterVec
	delivery, publish                          prometheus.Observer
	request, batch, transact                   *rare
}

// Link returns the metrics of one link. Those of the same component and name are the same, until they are removed.
func (m *Metrics) Link(component, link string) *LinkMetrics {
	key := linkKey{component, link}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.links[key]
	if l == nil {
		l = m.newLink(key)
		m.links[key] = l
	}
	return l
}

func (m *Metrics) newLink(key linkKey) *LinkMetrics {
	l := &LinkMetrics{
		metrics: m, key: key, labels: prometheus.Labels{"component": key.component, "link": key.link},
		outcomes: make(map[dispatch.Outcome]prometheus.Counter, len(dispatch.Outcomes)),
	}
	one := func(d *metric) prometheus.Counter { return m.counters[d].With(l.labels) }
	many := func(d *metric) *prometheus.CounterVec { return m.counters[d].MustCurryWith(l.labels) }
	observer := func(d *metric) prometheus.Observer { return m.histograms[d].With(l.labels) }

	l.records, l.bytes = one(fetchedRecords), one(fetchedBytes)
	l.rebalances, l.missed, l.repeated = one(rebalances), one(missedRecords), one(redeliveries)
	l.publishedRecords, l.publishedBytes = one(publishedRecords), one(publishedBytes)
	l.publishes, l.buried, l.requests, l.transactions = many(publishes), many(buriedRecords), many(requests), many(transactions)
	l.delivery, l.publish = observer(deliverySeconds), observer(publishSeconds)
	l.request, l.batch, l.transact = &rare{l: l, of: requestSeconds}, &rare{l: l, of: batchRecords}, &rare{l: l, of: transactionSeconds}
	// A counter that is there from the start shows its first step, so those are made that an alert may stand on.
	for _, o := range dispatch.Outcomes {
		l.outcomes[o] = many(deliveries).WithLabelValues(string(o))
	}
	l.committed, l.notCommitted = many(commits).WithLabelValues("ok"), many(commits).WithLabelValues("error")
	l.buried.WithLabelValues(deadLettered)
	l.buried.WithLabelValues(skipped)
	l.published = l.publishes.WithLabelValues(publishedOK)
	return l
}

// rare is a histogram that is made when it is first needed: most links never do, and each has some twenty series.
type rare struct {
	l    *LinkMetrics
	of   *metric
	made atomic.Pointer[prometheus.Observer]
}

func (r *rare) Observe(v float64) {
	if made := r.made.Load(); made != nil {
		(*made).Observe(v)
		return
	}
	r.l.mu.RLock()
	defer r.l.mu.RUnlock()
	if r.l.removed {
		return
	}
	made := r.l.metrics.histograms[r.of].With(r.l.labels)
	r.made.Store(&made)
	made.Observe(v)
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
	l.count(l.buried, fate)
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
		l.count(l.transactions, "aborted")
		return
	}
	l.count(l.transactions, "committed")
	l.Stored(records, bytes)
}

// publishedOK is the class of a publish that went well.
const publishedOK = "ok"

// Published counts one publish of the component. class is one of a closed list.
func (l *LinkMetrics) Published(class string, took time.Duration) {
	if class == publishedOK {
		l.published.Inc()
	} else {
		l.count(l.publishes, class)
	}
	l.publish.Observe(took.Seconds())
}

// Stored counts records for the component that Kafka has acknowledged.
func (l *LinkMetrics) Stored(records, bytes int) {
	l.publishedRecords.Add(float64(records))
	l.publishedBytes.Add(float64(bytes))
}

// Answered implements request.Observer.
func (l *LinkMetrics) Answered(took time.Duration) {
	l.count(l.requests, "answered")
	l.request.Observe(took.Seconds())
}

// TimedOut implements request.Observer.
func (l *LinkMetrics) TimedOut() { l.count(l.requests, "timed_out") }

// Late implements request.Observer.
func (l *LinkMetrics) Late() { l.count(l.requests, "late_answer") }

// count counts by a label whose series is made when it is first needed.
func (l *LinkMetrics) count(v *prometheus.CounterVec, value string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.removed {
		v.WithLabelValues(value).Inc()
	}
}

// Remove takes the link's metrics away when the link is deleted. What still ends then, such as a publish that the
// component had begun, is counted no more.
func (l *LinkMetrics) Remove() {
	l.metrics.mu.Lock()
	defer l.metrics.mu.Unlock()
	if l.metrics.links[l.key] == l {
		delete(l.metrics.links, l.key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.removed {
		return // the series may be those of a link that came since
	}
	l.removed = true
	for _, v := range l.metrics.counters {
		v.DeletePartialMatch(l.labels)
	}
	for _, v := range l.metrics.histograms {
		v.DeletePartialMatch(l.labels)
	}
}
