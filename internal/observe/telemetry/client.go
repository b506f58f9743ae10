package telemetry

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Client returns a hook that counts what Kafka clients of one kind do: consumer, producer or replies. Links have no
// series of their own here: with a series for each link, broker and metric there would be more of these than of all
// others.
func (m *Metrics) Client(client string) kgo.Hook {
	h := &clientHook{
		metrics: m, labels: prometheus.Labels{"client": client},
		seconds:   m.histograms[clientRequestSeconds].WithLabelValues(client),
		throttled: m.counters[clientThrottled].WithLabelValues(client),
	}
	return h
}

// clientHook implements the hooks of a Kafka client.
type clientHook struct {
	metrics   *Metrics
	labels    prometheus.Labels
	seconds   prometheus.Observer
	throttled prometheus.Counter
	brokers   sync.Map // of *brokerCounts by NodeID
}

// brokerCounts are those of one broker, looked up once.
type brokerCounts struct {
	connected, refused, read, written, errors prometheus.Counter
}

var (
	_ kgo.HookBrokerConnect  = (*clientHook)(nil)
	_ kgo.HookBrokerRead     = (*clientHook)(nil)
	_ kgo.HookBrokerWrite    = (*clientHook)(nil)
	_ kgo.HookBrokerE2E      = (*clientHook)(nil)
	_ kgo.HookBrokerThrottle = (*clientHook)(nil)
)

func (h *clientHook) broker(id int32) *brokerCounts {
	if id < 0 {
		id = -1 // each bootstrap address has a negative number of its own
	}
	if b, ok := h.brokers.Load(id); ok {
		return b.(*brokerCounts)
	}
	name := "seed"
	if id >= 0 {
		name = strconv.Itoa(int(id))
	}
	counters := h.metrics.counters
	connects := counters[clientConnects].MustCurryWith(h.labels)
	of := func(d *metric) prometheus.Counter { return counters[d].MustCurryWith(h.labels).WithLabelValues(name) }
	b, _ := h.brokers.LoadOrStore(id, &brokerCounts{
		connected: connects.WithLabelValues(name, "ok"), refused: connects.WithLabelValues(name, "error"),
		read: of(clientReadBytes), written: of(clientWrittenBytes), errors: of(clientErrors),
	})
	return b.(*brokerCounts)
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h *clientHook) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	b := h.broker(meta.NodeID)
	if err != nil {
		b.refused.Inc()
		return
	}
	b.connected.Inc()
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (h *clientHook) OnBrokerRead(meta kgo.BrokerMetadata, _ int16, bytes int, _, _ time.Duration, err error) {
	b := h.broker(meta.NodeID)
	b.read.Add(float64(bytes))
	if err != nil {
		b.errors.Inc()
	}
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (h *clientHook) OnBrokerWrite(meta kgo.BrokerMetadata, _ int16, bytes int, _, _ time.Duration, err error) {
	b := h.broker(meta.NodeID)
	b.written.Add(float64(bytes))
	if err != nil {
		b.errors.Inc()
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h *clientHook) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() == nil {
		h.seconds.Observe(e2e.DurationE2E().Seconds())
	}
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (h *clientHook) OnBrokerThrottle(_ kgo.BrokerMetadata, wait time.Duration, _ bool) {
	h.throttled.Add(wait.Seconds())
}
