package testkit

import (
	"context"

	"github.com/nats-io/nats.go"
)

type traceKey struct{}

// traceKeys are the headers that carry a trace.
var traceKeys = [...]string{"traceparent", "tracestate", "baggage"}

// withTrace keeps the trace of a call for the calls that are made for it.
func withTrace(ctx context.Context, h nats.Header) context.Context {
	return context.WithValue(ctx, traceKey{}, h)
}

// addTrace puts the trace that ctx has into the headers of a call.
func addTrace(ctx context.Context, h nats.Header) {
	from, _ := ctx.Value(traceKey{}).(nats.Header)
	for _, key := range traceKeys {
		if v := from[key]; len(v) > 0 {
			h[key] = v
		}
	}
}
