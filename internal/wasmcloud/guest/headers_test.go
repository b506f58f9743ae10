package guest

import (
	"context"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestCallersAreReadFromHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		header nats.Header
		want   Caller
	}{
		{"of a host", nats.Header{"source-id": {"echo"}, "link-name": {"orders"}, "traceparent": {"00-1"}, "other": {"x"}},
			Caller{ComponentID: "echo", LinkName: "orders", Header: nats.Header{"traceparent": {"00-1"}}}},
		{"in another case", nats.Header{"Source-Id": {"echo"}, "Link-Name": {"x"}, "Tracestate": {"s"}},
			Caller{ComponentID: "echo", LinkName: "x", Header: nats.Header{"tracestate": {"s"}}}},
		{"without a link name", nats.Header{"source-id": {"echo"}}, Caller{ComponentID: "echo", LinkName: "default"}},
		{"without any", nil, Caller{LinkName: "default"}},
		{"without values", nats.Header{"source-id": {}, "Source-Id": nil}, Caller{LinkName: "default"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := CallerOf(c.header); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCallsCarryTheTraceOfTheirContext(t *testing.T) {
	ctx := WithTraceHeaders(context.Background(),
		nats.Header{"Traceparent": {"00-1"}, "tracestate": {"s"}, "baggage": {"b=1"}, "other": {"x"}})
	got := CallHeader(ctx, "kafka", "echo", "orders")
	want := nats.Header{"source-id": {"kafka"}, "target-id": {"echo"}, "link-name": {"orders"},
		"traceparent": {"00-1"}, "tracestate": {"s"}, "baggage": {"b=1"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if WithTraceHeaders(ctx, nil) != ctx || TraceHeaders(context.Background()) != nil {
		t.Error("no trace headers become some")
	}
	if got := CallHeader(context.Background(), "kafka", "echo", "orders"); len(got) != 3 {
		t.Errorf("without a trace: %v", got)
	}
}

func TestHeadersOfAllCallsAreNotChangedByTheTraceOfOne(t *testing.T) {
	base := LinkHeader("kafka", "echo", "orders")
	ctx := WithTraceHeaders(context.Background(), nats.Header{"traceparent": {"00-1"}})
	if got := AddTrace(ctx, base); len(got) != 4 || got["traceparent"][0] != "00-1" || got["target-id"][0] != "echo" {
		t.Errorf("with a trace: %v", got)
	}
	if len(base) != 3 {
		t.Errorf("the headers are now %v", base)
	}
	if got := AddTrace(context.Background(), base); len(got) != 3 {
		t.Errorf("without a trace: %v", got)
	}
}

func TestNamesOfCallersAreToldWholeOrNotAtAll(t *testing.T) {
	testkit.NeverCut(t, func(name string) string {
		caller := CallerOf(nats.Header{"source-id": {name}, "link-name": {name}})
		return caller.ComponentID + " " + caller.LinkName
	})
}
