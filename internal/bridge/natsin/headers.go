package natsin

import (
	"encoding/base64"
	"fmt"
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
func addHeaders(out *record.Outgoing, h nats.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "nats-") || strings.HasPrefix(lower, "messaging-kafka-") || slices.Contains(traceHeaders, lower) {
			continue
		}
		for _, v := range h[name] {
			out.Headers = append(out.Headers, record.Header{Key: name, Value: []byte(v)})
		}
	}
	key, err := keyOf(h)
	if err != nil {
		return err
	}
	if out.Key == nil {
		out.Key = key
	}
	return nil
}

// keyOf is the key that a message's headers name, nil where they name none. A record with another key than its sender
// means goes to another partition: what cannot be read is refused.
func keyOf(h nats.Header) ([]byte, error) {
	text, inBase64 := h[keyHeader], h[keyBase64Header]
	if len(text)+len(inBase64) > 1 {
		return nil, fmt.Errorf("%s and %s give a key more than once", keyHeader, keyBase64Header)
	}
	if len(text) > 0 {
		return []byte(text[0]), nil
	}
	if len(inBase64) > 0 {
		key, err := base64.StdEncoding.DecodeString(inBase64[0])
		if err != nil {
			return nil, fmt.Errorf("%s is no base64", keyBase64Header)
		}
		return key, nil
	}
	return nil, nil
}
