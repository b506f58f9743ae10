//go:build bench

package bench_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// bare is the way without Kafka: it hands values to the component itself, and is what the component publishes to.
type bare struct {
	handler   *messaging.HandlerClient
	component string
	value     func(id uint64) []byte

	calls, failed, published atomic.Uint64
}

// startBare plays a provider towards the host. As in the provider, one connection serves both directions.
func startBare(t *testing.T, ns *testkit.NATSServer, lattice, provider, component string,
	value func(uint64) []byte) *bare {
	t.Helper()
	nc := ns.Connect()
	client, err := wrpc.NewClient(nc, wrpc.ClientOptions{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: lattice + "." + provider, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := errors.Join(client.Close(ctx), server.Shutdown(ctx)); err != nil {
			t.Error(err)
		}
	})
	b := &bare{handler: messaging.NewHandlerClient(client, lattice, provider), component: component, value: value}
	if err := messaging.Register(server, b); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(testkit.DefaultTimeout); err != nil {
		t.Fatal(err)
	}
	return b
}

// echo is a [bench.Echo]: one call of the component, in which it publishes the value.
func (b *bare) echo(ctx context.Context, id uint64) (time.Duration, error) {
	b.calls.Add(1)
	reply := "out"
	begin := time.Now()
	err := b.handler.Component(b.component, "default").HandleMessage(ctx, messaging.BrokerMessage{
		Subject: "in", Body: b.value(id), ReplyTo: &reply,
	})
	if err != nil {
		b.failed.Add(1)
	}
	return time.Since(begin), err
}

// Publish implements messaging.Consumer.
func (b *bare) Publish(context.Context, messaging.Caller, messaging.BrokerMessage) error {
	b.published.Add(1)
	return nil
}

// Request implements messaging.Consumer.
func (b *bare) Request(context.Context, messaging.Caller, string, []byte,
	time.Duration) (messaging.BrokerMessage, error) {
	return messaging.BrokerMessage{}, errors.New("the echo component makes no requests")
}
