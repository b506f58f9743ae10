//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// These tests hold the provider's wire, internal/wasmcloud/wrpc and internal/wasmcloud/messaging, against a real host
// and component with nothing of Kafka in between: the test itself is what the component's imports go to.

// providerKey is what the link of the component goes to. No provider has to run for a host to call it.
const providerKey = "kafka"

// published is one publish that reached the test.
type published struct {
	caller guest.Caller
	msg    messaging.BrokerMessage
}

// consumer answers a component's publishes and requests.
type consumer struct {
	publish func(published) error
	request func(subject string, body []byte) (messaging.BrokerMessage, error)
}

func (c consumer) Publish(_ context.Context, caller guest.Caller, msg messaging.BrokerMessage) error {
	return c.publish(published{caller, msg})
}

func (c consumer) Request(_ context.Context, _ guest.Caller, subject string, body []byte,
	_ time.Duration) (messaging.BrokerMessage, error) {
	return c.request(subject, body)
}

// serve plays the provider towards the host.
func serve(t *testing.T, nc *nats.Conn, lattice string, c consumer) {
	t.Helper()
	if err := messaging.Register(newServer(t, nc, lattice), c); err != nil {
		t.Fatal(err)
	}
}

func newServer(t *testing.T, nc *nats.Conn, lattice string) *wrpc.Server {
	t.Helper()
	server, err := wrpc.NewServer(nc, wrpc.ServerOptions{Prefix: lattice + "." + providerKey, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutting the server down: %v", err)
		}
	})
	return server
}

func handler(t *testing.T, nc *nats.Conn, lattice string) *messaging.HandlerClient {
	t.Helper()
	return messaging.NewHandlerClient(newClient(t, nc), lattice, providerKey)
}

func newClient(t *testing.T, nc *nats.Conn) *wrpc.Client {
	t.Helper()
	client, err := wrpc.NewClient(nc, wrpc.ClientOptions{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.DefaultTimeout)
		defer cancel()
		if err := client.Close(ctx); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return client
}

// startEcho starts a host with the echo component as "echo", linked to the provider key by the given link names.
func startEcho(t *testing.T, count int, links ...string) (*testkit.NATSServer, *testkit.Host) {
	t.Helper()
	testkit.CheckLeaks(t)
	testkit.HostBinary(t)
	wasm := testkit.EchoWasm(t)
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	host := testkit.StartHost(t, ns, testkit.HostOptions{})
	for _, link := range links {
		host.PutLink(testkit.ControlLink{Source: "echo", Target: providerKey, Name: link, Interface: "consumer"})
	}
	host.Scale("echo", wasm, count)
	return ns, host
}

// handle hands one message to the echo component, and waits for a component that was scaled up a moment ago.
func handle(t *testing.T, h *messaging.HandlerClient, msg messaging.BrokerMessage) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	for {
		err := h.Component("echo", "default").HandleMessage(ctx, msg)
		if !errors.Is(err, wrpc.ErrNoResponders) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func TestARealComponentEchoes(t *testing.T) {
	ns, host := startEcho(t, 4, "default", "other")
	nc := ns.Connect()
	got := make(chan published, 10)
	serve(t, nc, host.Lattice(), consumer{
		publish: func(p published) error {
			if p.msg.Subject == "refused" {
				return errors.New("topic refused does not exist")
			}
			got <- p
			return nil
		},
		request: func(subject string, body []byte) (messaging.BrokerMessage, error) {
			return messaging.BrokerMessage{Subject: subject, Body: append([]byte("answer to "), body...)}, nil
		},
	})
	h := handler(t, nc, host.Lattice())

	large := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	for _, test := range []struct {
		name, body, want, link string
	}{
		{"a body", "hello", "hello", "default"},
		{"an empty body", "", "", "default"},
		{"a body of 5 MiB, of many messages both ways", string(large), string(large), "default"},
		{"a body over another link", "!on:other:hello", "hello", "other"},
		{"an answer to a request", "!request:answers:question", "answer to question", "default"},
		{"a body after a while", "!sleep:10:late", "late", "default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := handle(t, h, messaging.BrokerMessage{Subject: "in", Body: []byte(test.body),
				ReplyTo: new("out")}); err != nil {
				t.Fatal(err)
			}
			p := <-got
			if p.msg.Subject != "out" || string(p.msg.Body) != test.want {
				t.Errorf("%s came back with %d bytes, want out with %d", p.msg.Subject, len(p.msg.Body), len(test.want))
			}
			if p.caller.ComponentID != "echo" || p.caller.LinkName != test.link {
				t.Errorf("from %s over %s, want echo over %s", p.caller.ComponentID, p.caller.LinkName, test.link)
			}
		})
	}

	t.Run("no reply-to, nothing published", func(t *testing.T) {
		if err := handle(t, h, messaging.BrokerMessage{Subject: "in", Body: []byte("hello")}); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-got:
			t.Errorf("published %q to %s", p.msg.Body, p.msg.Subject)
		default:
		}
	})
	for body, want := range map[string]string{
		"!err:no":                "no",
		"!reject:never":          "reject:never",
		"!publish:refused:hello": "topic refused does not exist",
		"!what":                  `unknown command "what"`,
	} {
		t.Run("an error for "+body, func(t *testing.T) {
			err := handle(t, h, messaging.BrokerMessage{Subject: "in", Body: []byte(body), ReplyTo: new("out")})
			var guest *messaging.GuestError
			if !errors.As(err, &guest) || guest.Text != want {
				t.Errorf("%v, want the component's error %q", err, want)
			}
		})
	}
	t.Run("a trap is no answer", func(t *testing.T) {
		err := handle(t, h, messaging.BrokerMessage{Subject: "in", Body: []byte("!trap"), ReplyTo: new("out")})
		if !errors.Is(err, wrpc.ErrIncomplete) {
			t.Errorf("%v, want %v", err, wrpc.ErrIncomplete)
		}
	})
	t.Run("scaled to nothing, nobody takes the call", func(t *testing.T) {
		host.Scale("echo", testkit.EchoWasm(t), 0)
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := h.Component("echo", "default").HandleMessage(ctx, messaging.BrokerMessage{Subject: "in"})
			if !errors.Is(err, wrpc.ErrNoResponders) {
				return fmt.Errorf("calling a component that is gone: %w, want %w", err, wrpc.ErrNoResponders)
			}
			return nil
		})
	})
}

// A host loses an accept that comes before it has registered its inbox, now and then and only under load. A call
// that is lost so hangs until the component's time is up, so that one lost call fails the test.
func TestNoNestedCallIsLost(t *testing.T) {
	const calls, inFlight = 50_000, 64
	ns, host := startEcho(t, 100, "default")
	var publishes atomic.Int64
	// As in the provider, one connection serves both directions.
	nc := ns.Connect()
	serve(t, nc, host.Lattice(), consumer{publish: func(published) error { publishes.Add(1); return nil }})
	h := handler(t, nc, host.Lattice())
	body := bytes.Repeat([]byte("x"), 1024)
	if err := handle(t, h, messaging.BrokerMessage{Subject: "in", Body: body, ReplyTo: new("out")}); err != nil {
		t.Fatal(err)
	}

	begin := time.Now()
	var next, failed atomic.Int64
	var all sync.WaitGroup
	for range inFlight {
		all.Go(func() {
			for next.Add(1) <= calls {
				ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
				err := h.Component("echo", "default").HandleMessage(ctx,
					messaging.BrokerMessage{Subject: "in", Body: body, ReplyTo: new("out")})
				cancel()
				if err != nil && failed.Add(1) <= 10 {
					t.Errorf("a call is lost: %v", err)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d calls are lost", n, calls)
	}
	if n := publishes.Load(); n != calls+1 {
		t.Errorf("%d publishes for %d calls", n, calls+1)
	}
	t.Logf("%d calls, %d in flight: %.0f/s", calls, inFlight, calls/took.Seconds())
}
