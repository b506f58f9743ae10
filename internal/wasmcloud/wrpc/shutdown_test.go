package wrpc

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestShutdownLetsCallsEnd(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{})
	started, release := make(chan struct{}), make(chan struct{})
	serve(t, server, "f", func(ctx context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
		close(started)
		<-release
		return echo(ctx, h, d)
	})
	client := newClient(t, connect(t, s), ClientOptions{})
	done := make(chan error, 1)
	go func() { done <- callEcho(withPatience(t), client, "f", []byte("last")) }()
	receive(t, started)
	down := make(chan error, 1)
	go func() { down <- server.Shutdown(withPatience(t)) }()
	eventually(t, "further calls find nobody", func() bool {
		return errors.Is(callEcho(withPatience(t), client, "f", []byte("late")), ErrNoResponders)
	})
	close(release)
	if err := wait(t, done); err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := wait(t, down); err != nil {
		t.Errorf("the shutdown: %v", err)
	}
}

// gate is a log that holds up whoever writes to it.
type gate struct{ reached, open chan struct{} }

func (g *gate) Write(b []byte) (int, error) {
	g.reached <- struct{}{}
	<-g.open
	return len(b), nil
}

// Calls that wait for the subscription's callback have been given to this server alone: to drop them would leave
// their callers hanging.
func TestShutdownTakesTheCallsThatHaveCome(t *testing.T) {
	s := runNATS(t, defaultPayload)
	log := &gate{reached: make(chan struct{}, 10), open: make(chan struct{})}
	server := newServer(t, connect(t, s), ServerOptions{Logger: slog.New(slog.NewTextHandler(log, nil))})
	serve(t, server, "f", echo)
	nc := connect(t, s)
	bad := newCaller(t, nc)
	bad.reply = "$SYS.bad"
	bad.call("f", nil) // is complained about, which holds the callback up
	receive(t, log.reached)
	var callers []*caller
	for i := range 5 {
		c := newCaller(t, nc)
		c.call("f", []byte{1, byte(i)})
		callers = append(callers, c)
	}
	flush(t, nc)
	down := make(chan error, 1)
	go func() { down <- server.Shutdown(withPatience(t)) }()
	client := newClient(t, connect(t, s), ClientOptions{})
	eventually(t, "further calls find nobody", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		return errors.Is(callEcho(ctx, client, "f", []byte("late")), ErrNoResponders)
	})
	select {
	case err := <-down:
		t.Errorf("the shutdown did not wait for the calls that have come (%v)", err)
	default:
	}
	close(log.open)
	for i, c := range callers {
		c.send(c.accepted(), "", nil)
		if got, _ := c.result(); string(got) != string([]byte{1, byte(i)}) {
			t.Errorf("call %d got %q", i, got)
		}
	}
	if err := wait(t, down); err != nil {
		t.Errorf("the shutdown: %v", err)
	}
}

// TestAShutdownWithoutTimeAndCallsCutsNothingOff, whatever it sees first: that nothing runs, or that its time is over.
func TestAShutdownWithoutTimeAndCallsCutsNothingOff(t *testing.T) {
	s := runNATS(t, defaultPayload)
	ctx, over := testkit.Ending(t)
	over()
	for range 20 {
		if err := newServer(t, connect(t, s), ServerOptions{}).Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShutdownCutsCallsOff(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{MaxCalls: 3})
	started := make(chan struct{}, 10)
	stubborn := make(chan struct{})
	t.Cleanup(func() { close(stubborn) })
	serve(t, server, "heeds", func(ctx context.Context, _ nats.Header, _ *wit.Decoder) ([]byte, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	serve(t, server, "ignores", func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) {
		started <- struct{}{}
		<-stubborn
		return nil, nil
	})
	serve(t, server, "waits", func(_ context.Context, _ nats.Header, d *wit.Decoder) ([]byte, error) {
		started <- struct{}{}
		return d.Bytes()
	})
	nc := connect(t, s)
	var callers []*caller
	for _, function := range []string{"waits", "heeds", "ignores"} {
		c := newCaller(t, nc)
		c.call(function, nil)
		c.accepted()
		receive(t, started)
		callers = append(callers, c)
	}
	queued := newCaller(t, nc)
	queued.call("heeds", nil)
	eventually(t, "a call waits", func() bool { return server.Stats().Waiting == 1 })
	callers = append(callers, queued)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the shutdown: %v", err)
	}
	for i, c := range callers {
		if got, _ := c.result(); len(got) != 0 {
			t.Errorf("call %d has results %q", i, got)
		}
	}
	if err := server.Shutdown(withPatience(t)); err != nil {
		t.Errorf("a second shutdown: %v", err)
	}
}

func TestShutdownWithoutAConnection(t *testing.T) {
	s := runNATS(t, defaultPayload)
	nc := connect(t, s)
	server := newServer(t, nc, ServerOptions{})
	serve(t, server, "f", echo)
	nc.Close()
	if err := server.Shutdown(withPatience(t)); err != nil {
		t.Error(err)
	}
}
