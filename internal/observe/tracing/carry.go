package tracing

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	parentHeader  = "traceparent"
	stateHeader   = "tracestate"
	baggageHeader = "baggage"
)

// keys are the headers that are carried across, the one without which the others say nothing first.
var keys = [...]string{parentHeader, stateHeader, baggageHeader}

// maxHeader bounds each of the headers: what W3C asks everybody to pass on of baggage. Longer ones are left behind.
const maxHeader = 8192

// Of returns the headers of a record that carry its trace, nil where there are none.
func Of(r *record.Record) map[string][]string { return headersOf(r.Headers) }

func headersOf(list []record.Header) map[string][]string {
	var h map[string][]string
	for _, key := range keys {
		v, ok := last(list, key)
		if !ok || len(v) == 0 || len(v) > maxHeader {
			continue
		}
		if h == nil {
			h = make(map[string][]string, len(keys))
		}
		h[key] = []string{string(v)}
	}
	return h
}

// last returns the value of the last header with a key, which is the one that counts in Kafka's own clients.
func last(list []record.Header, key string) ([]byte, bool) {
	for _, header := range slices.Backward(list) {
		if header.Key == key {
			return header.Value, true
		}
	}
	return nil, false
}

// Add puts a trace into the headers of a record to produce, unless they have one of their own. The list it is given is
// not changed.
func Add(list []record.Header, from map[string][]string) []record.Header {
	if len(from) == 0 {
		return list
	}
	if _, own := last(list, parentHeader); own {
		return list
	}
	list = slices.Clip(list)
	for _, key := range keys {
		if v := from[key]; len(v) > 0 && v[0] != "" && len(v[0]) <= maxHeader {
			if _, own := last(list, key); !own {
				list = append(list, record.Header{Key: key, Value: []byte(v[0])})
			}
		}
	}
	return list
}

var w3c propagation.TraceContext

// carrier is trace headers for the propagator. It has a single value for each of them, under a lower case key.
type carrier map[string][]string

func (c carrier) Get(key string) string {
	if v := c[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
func (c carrier) Set(key, value string) { c[key] = []string{value} }
func (carrier) Keys() []string          { return keys[:] }

// spanContextOf reads the span that trace headers name; it is not valid where they name none.
func spanContextOf(h map[string][]string) trace.SpanContext {
	if h == nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), carrier(h)))
}

// headersFor writes the trace headers for what happens below a span. Baggage is passed on as it came.
func headersFor(sc trace.SpanContext, from map[string][]string) map[string][]string {
	h := make(carrier, len(keys))
	w3c.Inject(trace.ContextWithSpanContext(context.Background(), sc), h)
	if v := from[baggageHeader]; len(v) > 0 {
		h[baggageHeader] = v
	}
	return h
}
