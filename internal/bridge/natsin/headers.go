package natsin

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The headers by which a message says what its record's key is.
const (
	keyHeader       = "Messaging-Kafka-Key"
	keyBase64Header = "Messaging-Kafka-Key-Base64"
)

// traceHeaders are those that carry a trace.
var traceHeaders = []string{"traceparent", "tracestate", "baggage"}

// traceOf are the headers that carry a message's trace.
func traceOf(h nats.Header) route.Trace {
	var trace route.Trace
	for _, name := range traceHeaders {
		if v := h.Get(name); v != "" {
			if trace == nil {
				trace = make(route.Trace, len(traceHeaders))
			}
			trace[name] = []string{v}
		}
	}
	return trace
}

// addHeaders adds a message's headers to its record, and the key that they name unless it has one. Those that mean
// something to NATS or to us do not become the record's.
func addHeaders(out *record.Outgoing, h nats.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "nats-") || strings.HasPrefix(lower, "messaging-kafka-") || slices.Contains(traceHeaders, lower) {
			continue
		}
		for _, v := range h[name] {
			out.Headers = append(out.Headers, record.Header{Key: name, Value: []byte(v)})
		}
	}
	if out.Key != nil {
		return
	}
	if v, is := h[keyHeader]; is && len(v) > 0 {
		out.Key = []byte(v[0])
	} else if key, err := base64.StdEncoding.DecodeString(h.Get(keyBase64Header)); err == nil && len(key) > 0 {
		out.Key = key
	}
}
