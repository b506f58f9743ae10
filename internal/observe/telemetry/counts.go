package telemetry

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// LinkName names links in metrics. Links of one component and name count together.
type LinkName struct{ Component, Link string }

// counts reads the metrics of links back, for those who show them otherwise than Prometheus does.
type counts struct {
	once     sync.Once
	registry *prometheus.Registry
}

// counted says which metrics a status.Counters has, and where.
var counted = map[*metric]func(*status.Counters, *dto.Metric){
	fetchedRecords:   func(c *status.Counters, m *dto.Metric) { c.RecordsIn = m.GetCounter().GetValue() },
	fetchedBytes:     func(c *status.Counters, m *dto.Metric) { c.BytesIn = m.GetCounter().GetValue() },
	publishedRecords: func(c *status.Counters, m *dto.Metric) { c.RecordsOut = m.GetCounter().GetValue() },
	publishedBytes:   func(c *status.Counters, m *dto.Metric) { c.BytesOut = m.GetCounter().GetValue() },
	rebalances:       func(c *status.Counters, m *dto.Metric) { c.Rebalances = m.GetCounter().GetValue() },
	missedRecords:    func(c *status.Counters, m *dto.Metric) { c.Missed = m.GetCounter().GetValue() },
	deliveries:       func(c *status.Counters, m *dto.Metric) { put(&c.Deliveries, m, "outcome") },
	publishes:        func(c *status.Counters, m *dto.Metric) { put(&c.Publishes, m, "class") },
	redeliveries:     func(c *status.Counters, m *dto.Metric) { c.Redeliveries = m.GetCounter().GetValue() },
	recordsGivenUp: func(c *status.Counters, m *dto.Metric) {
		if label(m, "fate") == deadLettered {
			c.DeadLetters = m.GetCounter().GetValue()
		} else {
			c.Skipped = m.GetCounter().GetValue()
		}
	},
	filteredRecords: func(c *status.Counters, m *dto.Metric) { c.Filtered = m.GetCounter().GetValue() },
	filterFailures:  func(c *status.Counters, m *dto.Metric) { c.FilterFailures = m.GetCounter().GetValue() },
	deliverySeconds: func(c *status.Counters, m *dto.Metric) { c.HandleSeconds = histogramOf(m) },
	publishSeconds:  func(c *status.Counters, m *dto.Metric) { c.PublishSeconds = histogramOf(m) },
}

func put(to *map[string]float64, m *dto.Metric, by string) {
	v := m.GetCounter().GetValue()
	if v == 0 {
		return
	}
	if *to == nil {
		*to = make(map[string]float64)
	}
	(*to)[label(m, by)] = v
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func histogramOf(m *dto.Metric) *status.Histogram {
	h := m.GetHistogram()
	if h.GetSampleCount() == 0 {
		return nil
	}
	out := &status.Histogram{Count: h.GetSampleCount(), Sum: h.GetSampleSum(),
		Buckets: make([]status.Bucket, 0, len(h.GetBucket()))}
	for _, b := range h.GetBucket() {
		out.Buckets = append(out.Buckets, status.Bucket{UpTo: b.GetUpperBound(), Count: b.GetCumulativeCount()})
	}
	return out
}

// Counts returns what the metrics count of each link.
func (m *Metrics) Counts() (map[LinkName]status.Counters, error) {
	m.counts.once.Do(func() {
		m.counts.registry = prometheus.NewRegistry() // of no more than these: a scrape costs more
		for d := range counted {
			if c, ok := m.counters[d]; ok {
				m.counts.registry.MustRegister(c)
			} else {
				m.counts.registry.MustRegister(m.histograms[d])
			}
		}
	})
	families, err := m.counts.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering what is counted: %w", err)
	}
	byName := make(map[string]func(*status.Counters, *dto.Metric), len(counted))
	for d, take := range counted {
		byName[d.fullName()] = take
	}
	all := make(map[LinkName]status.Counters)
	for _, f := range families {
		for _, one := range f.GetMetric() {
			name := LinkName{label(one, "component"), label(one, "link")}
			c := all[name]
			byName[f.GetName()](&c, one)
			all[name] = c
		}
	}
	return all, nil
}
