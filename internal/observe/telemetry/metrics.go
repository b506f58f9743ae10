package telemetry

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
)

// Metrics are the metrics of the whole provider.
type Metrics struct {
	Registry *prometheus.Registry

	counters   map[*metric]*prometheus.CounterVec
	histograms map[*metric]*prometheus.HistogramVec

	mu    sync.Mutex
	links map[linkKey]*LinkMetrics

	counts  counts
	running atomic.Int64 // requests over HTTP
}

// linkKey are the values of the labels by which links are told apart.
type linkKey struct{ component, link string }

// NewMetrics makes the metrics with a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry:   prometheus.NewRegistry(),
		counters:   make(map[*metric]*prometheus.CounterVec),
		histograms: make(map[*metric]*prometheus.HistogramVec),
		links:      make(map[linkKey]*LinkMetrics),
	}
	for _, d := range declared {
		switch {
		case scraped[d]: // by the Collector
		case d.kind == counter:
			c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.fullName(), Help: d.help}, d.labels)
			m.counters[d] = c
			m.Registry.MustRegister(c)
		case d.kind == histogram:
			h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.fullName(), Help: d.help, Buckets: d.buckets},
				d.labels)
			m.histograms[d] = h
			m.Registry.MustRegister(h)
		}
	}
	v := version.Get()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: buildInfo.fullName(), Help: buildInfo.help},
		buildInfo.labels)
	info.WithLabelValues(v.Version, v.Commit, v.Go).Set(1)
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: httpRunning.fullName(), Help: httpRunning.help},
		func() float64 { return float64(m.running.Load()) })
	m.Registry.MustRegister(info, running, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
