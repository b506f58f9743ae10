package guest

import (
	"context"
	"maps"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// defaultLink is the name of a link that has been given none.
const defaultLink = "default"

// Caller is the component that a call came from.
type Caller struct {
	// ComponentID and LinkName identify the link that the component used; the lattice does not prove them.
	ComponentID, LinkName string
	// Header holds the trace headers of the call, see [WithTraceHeaders]. It is nil where there are none and must
	// not be changed.
	Header nats.Header
}

// CallerOf reads who made the call that came with the headers h.
func CallerOf(h nats.Header) Caller {
	link := text.Whole(header(h, "link-name"), maxName)
	if link == "" {
		link = defaultLink
	}
	return Caller{ComponentID: ComponentOf(h), LinkName: link, Header: traceHeaders(h)}
}

// ComponentOf reads the id of the component that made the call that came with the headers h.
func ComponentOf(h nats.Header) string { return text.Whole(header(h, "source-id"), maxName) }

// maxName bounds the names that a caller gives, which are in errors and in the log. Links have none that is as long.
const maxName = 1 << 10

// CallHeader returns the headers of a call that the provider makes to a component over the named link, with the
// trace headers that ctx has by [WithTraceHeaders].
func CallHeader(ctx context.Context, provider, componentID, linkName string) nats.Header {
	return AddTrace(ctx, LinkHeader(provider, componentID, linkName))
}

// LinkHeader returns the headers that all calls of a component over the named link have.
func LinkHeader(provider, componentID, linkName string) nats.Header {
	h := make(nats.Header, 3)
	values := [...]string{provider, componentID, linkName} // in one piece of memory
	h["source-id"], h["target-id"], h["link-name"] = values[0:1:1], values[1:2:2], values[2:3:3]
	return h
}

// AddTrace returns headers with the trace headers that ctx has by [WithTraceHeaders]. Where it has none, they are the
// given ones, which are never changed.
func AddTrace(ctx context.Context, header nats.Header) nats.Header {
	trace := TraceHeaders(ctx)
	if len(trace) == 0 {
		return header
	}
	h := make(nats.Header, len(header)+len(trace))
	maps.Copy(h, trace)
	maps.Copy(h, header)
	return h
}

// traceKeys are the headers of W3C Trace Context and W3C Baggage.
var traceKeys = [...]string{"traceparent", "tracestate", "baggage"}

type traceKey struct{}

// WithTraceHeaders returns a context whose calls of components carry the trace headers (traceparent, tracestate,
// baggage) of h, so that what a component does for a record joins the trace of the record. Other headers of h are left
// out. h may be nil.
func WithTraceHeaders(ctx context.Context, h nats.Header) context.Context {
	if trace := traceHeaders(h); trace != nil {
		return context.WithValue(ctx, traceKey{}, trace)
	}
	return ctx
}

// TraceHeaders returns the headers that [WithTraceHeaders] has put into ctx. They must not be changed.
func TraceHeaders(ctx context.Context) nats.Header {
	h, _ := ctx.Value(traceKey{}).(nats.Header)
	return h
}

// traceHeaders returns the trace headers of h, nil where there are none.
func traceHeaders(h nats.Header) nats.Header {
	var trace nats.Header
	for _, key := range traceKeys {
		if v := header(h, key); v != "" {
			if trace == nil {
				trace = make(nats.Header, len(traceKeys))
			}
			trace[key] = []string{v}
		}
	}
	return trace
}

// header returns the first value of a header. Hosts write lower case keys; other peers may not, and nats.go does
// tell case.
func header(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, key) {
			return v[0]
		}
	}
	return ""
}
