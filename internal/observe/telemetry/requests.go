package telemetry

import (
	"strconv"
	"time"
)

// Requests counts what callers ask of a bridge over HTTP. It is safe for concurrent use.
type Requests struct{ m *Metrics }

// Requests are the counts of a bridge.
func (m *Metrics) Requests() Requests { return Requests{m} }

// Began counts a request that runs until Ended is called.
func (r Requests) Began() { r.m.running.Add(1) }

// Ended counts a request by its end. caller is "" where nobody knows who it was; endpoint is one of a closed list.
func (r Requests) Ended(caller, endpoint string, status, bytes int, took time.Duration) {
	r.m.running.Add(-1)
	r.m.counters[httpRequests].WithLabelValues(caller, endpoint, strconv.Itoa(status)).Inc()
	r.m.counters[httpBytes].WithLabelValues(caller).Add(float64(bytes))
	r.m.histograms[httpSeconds].WithLabelValues(endpoint).Observe(took.Seconds())
}
