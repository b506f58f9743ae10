package telemetry

const sectionTelemetry = "OpenTelemetry"

var exportedItems = declare(metric{section: sectionTelemetry, name: "otlp_items_total", kind: counter,
	labels: []string{"signal", "result"},
	help:   "Spans, metrics and log lines handed to the export by OpenTelemetry, by what became of them: sent or lost. Items that found their queue full are not counted.",
	bad:    "Any lost: the collector does not answer or refuses; the log on standard error has the reason."})

// Exported counts what became of items of a signal (traces, metrics, logs); result is sent or lost.
func (m *Metrics) Exported(signal, result string, items int) {
	m.counters[exportedItems].WithLabelValues(signal, result).Add(float64(items))
}
