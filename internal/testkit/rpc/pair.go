package rpc

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

const patience = 30 * time.Second

// Pair is a NATS server with a wRPC server and a client on it, until the test ends.
type Pair struct {
	NC     *nats.Conn
	Server *wrpc.Server
	Client *wrpc.Client
}

// NewPair makes one whose server serves as the given id of the lattice "lattice".
func NewPair(t testing.TB, id string) *Pair {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p := &Pair{NC: nc}
	if p.Server, err = wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: "lattice." + id}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Server.Shutdown(WithPatience(t)); err != nil {
			t.Error(err)
		}
	})
	if p.Client, err = wrpc.NewClient(nc, wrpc.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Client.Close(WithPatience(t)); err != nil {
			t.Error(err)
		}
	})
	return p
}

// WithPatience returns a context that ends when no more is to be expected.
func WithPatience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
