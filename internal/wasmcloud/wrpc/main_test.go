package wrpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// nats-server starts these for the process and has no way to end them.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*gzipPool).start"),
	)
}

// patience is how long a test waits for what must come. It is long, for it is only waited out by a failure.
const patience = 30 * time.Second

// runNATS starts a NATS server on a free port of the loopback interface.
func runNATS(tb testing.TB, maxPayload int32) *server.Server {
	tb.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, MaxPayload: maxPayload}
	s, err := server.NewServer(opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the NATS server is not ready")
	}
	return s
}

const defaultPayload = 1 << 20

func connect(tb testing.TB, s *server.Server, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(s.ClientURL(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func newClient(tb testing.TB, nc *nats.Conn, opts ClientOptions) *Client {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = testkit.Logger(tb)
	}
	c, err := NewClient(nc, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(withPatience(tb)); err != nil {
			tb.Error(err)
		}
	})
	return c
}

const testPrefix = "lattice.provider"

func newServer(tb testing.TB, nc *nats.Conn, opts ServerOptions) *Server {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = testkit.Logger(tb)
	}
	opts.Prefix = testPrefix
	s, err := NewServer(nc, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Shutdown(withPatience(tb)); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// serve adds a handler and waits until the NATS server knows of it.
func serve(tb testing.TB, s *Server, function string, h Handler) {
	tb.Helper()
	if err := s.Handle("test:wrpc/calls@0.1.0", function, h); err != nil {
		tb.Fatal(err)
	}
	flush(tb, s.nc)
}

func flush(tb testing.TB, nc *nats.Conn) {
	tb.Helper()
	if err := nc.FlushWithContext(withPatience(tb)); err != nil {
		tb.Fatal(err)
	}
}

func invocation(function string, params []byte) Invocation {
	return Invocation{Target: testPrefix, Instance: "test:wrpc/calls@0.1.0", Function: function, Params: params}
}

// withPatience returns a context that ends with the test's patience.
func withPatience(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// eventually waits until ok holds.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("it never came to this: %s", what)
		}
	}
}

// echo returns a list<u8>.
func echo(_ context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
	b, err := params.Bytes()
	if err != nil {
		return nil, fmt.Errorf("decoding what to echo: %w", err)
	}
	return wit.AppendBytes(make([]byte, 0, len(b)+5), b), nil
}

// callEcho calls echo and compares.
func callEcho(ctx context.Context, c *Client, function string, body []byte) error {
	var got []byte
	err := c.Invoke(ctx, invocation(function, wit.AppendBytes(nil, body)), func(d *wit.Decoder) (err error) {
		got, err = d.Bytes()
		return err
	})
	if err != nil {
		return err
	}
	if string(got) != string(body) {
		return fmt.Errorf("%d bytes came back that differ from the %d sent", len(got), len(body))
	}
	return nil
}
