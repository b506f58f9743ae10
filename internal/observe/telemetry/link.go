package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// LinkMetrics are the counts of one link. They implement the observers of the packages that do the work. Their methods
// may be called by many goroutines at once.
type LinkMetrics struct {
	metrics *Metrics
	key     linkKey
	users   int // guarded by metrics.mu

	// mu guards removed, counters and histograms: the series that the link has made. It keeps one from being made anew by
	// a call that ends after its link.
	mu         sync.RWMutex
	removed    bool
	counters   map[series]prometheus.Counter
	histograms []*metric

	// Counters that every record moves are looked up once, here.
	outcomes                                                              [record.Kinds]prometheus.Counter
	givenUp                                                               prometheus.Counter
	committed, notCommitted, published                                    prometheus.Counter
	records, bytes, rebalances, missed                                    prometheus.Counter
	redelivered, filtered, filterFailed, publishedRecords, publishedBytes prometheus.Counter
	delivery, publish                                                     prometheus.Observer
	request, batch, transact                                              *rare
}

// series tells the series of one link apart: by the metric, and by the label that the link does not give, "" where
// there is none.
type series struct {
	of    *metric
	value string
}

// Link returns the metrics of one link. Those of the same component and name are the same, as long as somebody uses
// them.
func (m *Metrics) Link(component, link string) *LinkMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.linkLocked(linkKey{component, link})
}

// Use returns the metrics of one link and keeps them until [LinkMetrics.Release]. Links of one component and name in
// both directions use the same.
func (m *Metrics) Use(component, link string) *LinkMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.linkLocked(linkKey{component, link})
	l.users++
	return l
}

func (m *Metrics) linkLocked(key linkKey) *LinkMetrics {
	l := m.links[key]
	if l == nil {
		l = m.newLink(key)
		m.links[key] = l
	}
	return l
}

func (m *Metrics) newLink(key linkKey) *LinkMetrics {
	l := &LinkMetrics{
		metrics: m, key: key, counters: make(map[series]prometheus.Counter),
	}
	l.records, l.bytes = l.counter(fetchedRecords, ""), l.counter(fetchedBytes, "")
	l.rebalances, l.missed, l.redelivered = l.counter(rebalances, ""), l.counter(missedRecords, ""),
		l.counter(redeliveries, "")
	l.publishedRecords, l.publishedBytes = l.counter(publishedRecords, ""), l.counter(publishedBytes, "")
	l.delivery, l.publish = l.histogram(deliverySeconds), l.histogram(publishSeconds)
	l.request, l.batch, l.transact = &rare{l: l, of: requestSeconds}, &rare{l: l, of: batchRecords}, &rare{l: l,
		of: transactionSeconds}
	// A counter that is there from the start shows its first step, so those are made that an alert may stand on.
	for kind := range record.Kind(record.Kinds) {
		l.outcomes[kind] = l.counter(deliveries, kind.Label())
	}
	l.givenUp = l.counter(deliveries, "given_up")
	l.committed, l.notCommitted = l.counter(commits, "ok"), l.counter(commits, "error")
	l.counter(recordsGivenUp, deadLettered)
	l.counter(recordsGivenUp, skipped)
	l.filtered, l.filterFailed = l.counter(filteredRecords, ""), l.counter(filterFailures, "")
	l.published = l.counter(publishes, publishedOK)
	return l
}

// labels are the values of a series' labels, in the order of their declaration.
func (l *LinkMetrics) labels(value string) []string {
	if value == "" {
		return []string{l.key.component, l.key.link}
	}
	return []string{l.key.component, l.key.link, value}
}

// counter makes a series. mu is held, or nobody else has l yet.
func (l *LinkMetrics) counter(of *metric, value string) prometheus.Counter {
	c := l.metrics.counters[of].WithLabelValues(l.labels(value)...)
	l.counters[series{of, value}] = c
	return c
}

func (l *LinkMetrics) histogram(of *metric) prometheus.Observer {
	l.histograms = append(l.histograms, of)
	return l.metrics.histograms[of].WithLabelValues(l.labels("")...)
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
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	if r.l.removed {
		return
	}
	made := r.made.Load()
	if made == nil {
		h := r.l.histogram(r.of)
		made = &h
		r.made.Store(made)
	}
	(*made).Observe(v)
}

// Values of the label fate.
const (
	deadLettered = "dead_lettered"
	skipped      = "skipped"
)

// Delivered implements dispatch.Observer.
func (l *LinkMetrics) Delivered(kind record.Kind, took time.Duration) {
	l.outcomes[kind].Inc()
	if kind == record.Skipped {
		return // there was no call to time
	}
	l.delivery.Observe(took.Seconds())
}

// GivenUp implements dispatch.Observer.
func (l *LinkMetrics) GivenUp(took time.Duration) {
	l.givenUp.Inc()
	l.delivery.Observe(took.Seconds())
}

// Redelivered implements dispatch.Observer.
func (l *LinkMetrics) Redelivered() { l.redelivered.Inc() }

// Batched implements dispatch.Observer.
func (l *LinkMetrics) Batched(records int) { l.batch.Observe(float64(records)) }

// RecordGivenUp implements dispatch.Observer.
func (l *LinkMetrics) RecordGivenUp(written bool) {
	fate := skipped
	if written {
		fate = deadLettered
	}
	l.count(recordsGivenUp, fate)
}

// Filtered counts a record that the link's filter keeps from the component.
func (l *LinkMetrics) Filtered() { l.filtered.Inc() }

// FilterFailed counts an evaluation of the link's filter that failed.
func (l *LinkMetrics) FilterFailed() { l.filterFailed.Inc() }

// RecordDelayed implements dispatch.Observer.
func (l *LinkMetrics) RecordDelayed(delay time.Duration) {
	l.count(recordsDelayed, settings.DelayName(delay))
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
		l.count(transactions, "aborted")
		return
	}
	l.count(transactions, "committed")
	l.Stored(records, bytes)
}

// publishedOK is the class of a publish that went well.
const publishedOK = "ok"

// Published counts one publish of the component. class is one of a closed list.
func (l *LinkMetrics) Published(class string, took time.Duration) {
	if class == publishedOK {
		l.published.Inc()
	} else {
		l.count(publishes, class)
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
	l.count(requests, "answered")
	l.request.Observe(took.Seconds())
}

// TimedOut implements request.Observer.
func (l *LinkMetrics) TimedOut() { l.count(requests, "timed_out") }

// Late implements request.Observer.
func (l *LinkMetrics) Late() { l.count(requests, "late_answer") }

// count counts by a label whose series is made when it is first needed.
func (l *LinkMetrics) count(of *metric, value string) {
	l.mu.RLock()
	c, removed := l.counters[series{of, value}], l.removed
	l.mu.RUnlock()
	switch {
	case removed:
	case c != nil:
		c.Inc()
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.removed {
			return
		}
		if c = l.counters[series{of, value}]; c == nil {
			c = l.counter(of, value)
		}
		c.Inc()
	}
}

// Release ends a use. The last one takes the link's metrics away. A publish that the component had begun and that ends
// then is counted no more. It takes as long as the link has series, however many links there are.
func (l *LinkMetrics) Release() {
	m := l.metrics
	m.mu.Lock() // until the series are gone: those of a link of this name that comes now would go with them
	defer m.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.removed {
		return // the series may be those of a link that came since
	}
	l.removed = true
	delete(m.links, l.key)
	for s := range l.counters {
		m.counters[s.of].DeleteLabelValues(l.labels(s.value)...)
	}
	for _, of := range l.histograms {
		m.histograms[of].DeleteLabelValues(l.labels("")...)
	}
}
