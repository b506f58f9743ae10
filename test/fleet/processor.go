package fleet

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// ProcessFunc is a stand-in component's processor.process. An error ends the call without a value, as a trap does. ctx
// ends when the component is stopped.
type ProcessFunc func(ctx context.Context, batch []*record.Record) ([]record.Outcome, error)

// StartProcessor starts a stand-in for a component of messaging-kafka:records that exports processor, in the lattice
// "default". When the test ends, calls that still run are ended without a value.
func StartProcessor(t testing.TB, ns *testkit.NATSServer, id string, process ProcessFunc) {
	t.Helper()
	nc := ns.Connect()
	server, err := wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: "default." + id})
	if err != nil {
		t.Fatal(err)
	}
	handler := func(ctx context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
		batch, err := wit.DecodeBatch(params)
		if err != nil {
			return nil, err
		}
		outcomes, err := process(ctx, batch)
		if err != nil {
			return nil, err
		}
		return wit.AppendProcessed(nil, outcomes), nil
	}
	err = server.Handle("messaging-kafka:records/processor@0.1.0", "process", handler)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cut, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(cut) // its error says that calls were cut off
	})
}

// ProcessorLink is the link by which the provider with the given key hands records to a component's processor.
func ProcessorLink(provider, component string, config map[string]string) testkit.Link {
	return testkit.Link{
		Source: provider, Target: component, Namespace: "messaging-kafka", Package: "records",
		Interfaces:   []string{"processor"},
		SourceConfig: config,
	}
}
