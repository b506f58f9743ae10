package wrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// caller is a scripted client of one call: it does on the wire what a test says and no more.
type caller struct {
	tb      testing.TB
	nc      *nats.Conn
	reply   string
	accepts *nats.Subscription
	results *nats.Subscription
}

func newCaller(tb testing.TB, nc *nats.Conn) *caller {
	tb.Helper()
	c := &caller{tb: tb, nc: nc, reply: nc.NewInbox() + ".call"}
	var err error
	if c.accepts, err = nc.SubscribeSync(c.reply); err != nil {
		tb.Fatal(err)
	}
	if c.results, err = nc.SubscribeSync(c.reply + ".results"); err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c *caller) send(subject, reply string, data []byte) {
	c.tb.Helper()
	if err := c.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: data}); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *caller) call(function string, params []byte) {
	c.tb.Helper()
	subject, err := invocationSubject(testPrefix, "test:wrpc/calls@0.1.0", function)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.send(subject, c.reply, params)
}

// accepted waits for an accept and returns the subject for the parameters.
func (c *caller) accepted() string {
	c.tb.Helper()
	m, err := c.accepts.NextMsg(patience)
	if err != nil {
		c.tb.Fatalf("waiting for the accept: %v", err)
	}
	if len(m.Data) != 0 || m.Reply == "" || len(m.Header) != 0 {
		c.tb.Errorf("the accept is %q with reply %q and headers %v", m.Data, m.Reply, m.Header)
	}
	return m.Reply + ".params"
}

// result waits for the end of the results and returns what came before it.
func (c *caller) result() (all []byte, messages int) {
	c.tb.Helper()
	for {
		m, err := c.results.NextMsg(patience)
		if err != nil {
			c.tb.Fatalf("waiting for the end of the results: %v", err)
		}
		if len(m.Data) == 0 {
			return all, messages
		}
		all = append(all, m.Data...)
		messages++
	}
}

// nothing checks that no results have come, after a message that would have come after them.
func (c *caller) nothing(server *Server) {
	c.tb.Helper()
	flush(c.tb, server.nc)
	flush(c.tb, c.nc)
	if n, _, err := c.results.Pending(); n != 0 || err != nil {
		c.tb.Errorf("%d messages of results came too early (%v)", n, err)
	}
}

// counting returns a handler that echoes and the channel that tells of its calls.
func counting() (Handler, <-chan []byte) {
	called := make(chan []byte, 100)
	return func(_ context.Context, _ nats.Header, params *wit.Decoder) ([]byte, error) {
		b, err := params.Bytes()
		if err != nil {
			return nil, err
		}
		called <- b
		return wit.AppendBytes(nil, b), nil
	}, called
}

func receive[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-withPatience(tb).Done():
		tb.Fatal("what is waited for does not come")
		panic("unreachable")
	}
}

func TestResultsWaitForTheEndOfTheParams(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{})
	h, called := counting()
	serve(t, server, "f", h)
	c := newCaller(t, connect(t, s))
	c.call("f", []byte{2, 'h', 'i'})
	params := c.accepted()
	receive(t, called) // the handler does not wait
	c.nothing(server)
	c.send(params, "", nil)
	if got, messages := c.result(); string(got) != "\x02hi" || messages != 1 {
		t.Errorf("results %q in %d messages", got, messages)
	}
	eventually(t, "the call is over", func() bool { return server.Stats().Running == 0 })
	if n := len(server.in.all()); n != 0 {
		t.Errorf("%d calls are left over", n)
	}
	if n := server.params.used.Load(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// A Rust caller drops what comes before its own bookkeeping is done. This one only sees the third accept, and loses
// all results that are sent before.
func TestSlowRustCallerLosesNothing(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{})
	h, called := counting()
	serve(t, server, "f", h)
	nc := connect(t, s)
	const calls = 50
	var wg sync.WaitGroup
	for i := range calls {
		c := newCaller(t, nc)
		wg.Go(func() {
			c.call("f", wit.AppendBytes(nil, fmt.Append(nil, i)))
			c.accepted()
			c.accepted()
			params := c.accepted()
			for {
				m, err := c.results.NextMsg(time.Microsecond)
				if err != nil {
					break
				}
				t.Errorf("call %d loses %q", i, m.Data)
			}
			c.send(params, "", nil)
			if got, _ := c.result(); !bytes.Equal(got, wit.AppendBytes(nil, fmt.Append(nil, i))) {
				t.Errorf("call %d got %q", i, got)
			}
		})
	}
	wg.Wait()
	if len(called) != calls {
		t.Errorf("the handler ran %d times for %d calls", len(called), calls)
	}
	if st := server.Stats(); st.AcceptsRepeated < 2*calls || st.Unclosed != 0 || st.Calls != calls {
		t.Errorf("%+v", st)
	}
}

func TestAcceptsAreRepeatedOnlyUntilParamsCome(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s),
		ServerOptions{AcceptInterval: time.Millisecond, AcceptRepeats: 3, ParamsTimeout: patience})
	h, called := counting()
	serve(t, server, "f", h)
	c := newCaller(t, connect(t, s))
	c.call("f", []byte{3, 'a'})
	params := c.accepted()
	for range 3 {
		if again := c.accepted(); again != params {
			t.Errorf("a repeated accept names %s instead of %s", again, params)
		}
	}
	c.send(params, "", []byte("b"))
	c.send(params, "", []byte("c"))
	c.send(params, "", nil)
	if got, _ := c.result(); string(got) != "\x03abc" {
		t.Errorf("results %q", got)
	}
	if got := receive(t, called); string(got) != "abc" {
		t.Errorf("the handler got %q", got)
	}
	if n := server.Stats().AcceptsRepeated; n != 3 {
		t.Errorf("the accept was repeated %d times, not 3", n)
	}
	if n, _, _ := c.accepts.Pending(); n != 0 {
		t.Errorf("%d accepts came after the last", n)
	}
}

func TestAcceptIsNotRepeatedOnceParamsHaveCome(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{AcceptInterval: time.Millisecond, ParamsTimeout: patience})
	read := make(chan byte, 10)
	serve(t, server, "f", func(_ context.Context, _ nats.Header, d *wit.Decoder) ([]byte, error) {
		for {
			b, err := d.U8()
			if err != nil {
				return nil, nil //nolint:nilerr // the end of the parameters
			}
			read <- b
		}
	})
	nc := connect(t, s)
	c := newCaller(t, nc)
	c.call("f", nil)
	params := c.accepted()
	c.send(params, "", []byte{1})
	receive(t, read)
	repeatedBefore, _, _ := c.accepts.Pending()
	// A second call, which is silent, shows that the time for repetitions has come: its fifth is due after 31 ms.
	silent := newCaller(t, nc)
	silent.call("f", nil)
	silentParams := silent.accepted()
	for range 5 {
		silent.accepted()
	}
	// One repetition may have been on its way when the parameters came.
	if n, _, _ := c.accepts.Pending(); n > repeatedBefore+1 {
		t.Errorf("the accept was repeated %d times after parameters had come", n-repeatedBefore)
	}
	c.send(params, "", nil)
	c.result()
	silent.send(silentParams, "", nil)
	silent.result()
}

func TestEveryCallIsEnded(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{MaxParamsBytes: 1 << 10, Logger: slog.New(slog.DiscardHandler)})
	for name, h := range map[string]Handler{
		"echo":  echo,
		"panic": func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) { panic("on purpose") },
		"error": func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) {
			return []byte("x"), errors.New("on purpose")
		},
		"empty": func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) { return nil, nil },
		"exit": func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) {
			(&testing.T{}).SkipNow() // ends the goroutine
			return nil, nil
		},
	} {
		serve(t, server, name, h)
	}
	nc := connect(t, s)
	for _, c := range []struct {
		name, function string
		params         []byte
		script         func(c *caller, params string)
		failed         uint64
	}{
		{name: "when the handler panics", function: "panic", failed: 1},
		{name: "when the handler fails", function: "error", failed: 1},
		{name: "when the handler ends its goroutine", function: "exit", failed: 1},
		{name: "when there is no result", function: "empty"},
		{name: "when the parameters end too soon", function: "echo", params: []byte{5, 'a'}, failed: 1},
		{name: "when there are no parameters", function: "echo", failed: 1},
		{name: "when the parameters claim to be huge", function: "echo", params: []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, failed: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := server.Stats().Failed
			peer := newCaller(t, nc)
			peer.call(c.function, c.params)
			peer.send(peer.accepted(), "", nil)
			if got, _ := peer.result(); len(got) != 0 {
				t.Errorf("results %q", got)
			}
			if n := server.Stats().Failed - before; n != c.failed {
				t.Errorf("%d calls failed, want %d", n, c.failed)
			}
		})
	}
	t.Run("when the parameters have no end", func(t *testing.T) {
		before := server.Stats().Malformed
		peer := newCaller(t, nc)
		peer.call("echo", wit.AppendU32(nil, 1000))
		params := peer.accepted()
		for range 100 {
			peer.send(params, "", make([]byte, 100))
		}
		if got, _ := peer.result(); len(got) != 0 {
			t.Errorf("results %q", got)
		}
		if n := server.Stats().Malformed - before; n != 1 {
			t.Errorf("%d calls counted as malformed", n)
		}
	})
	eventually(t, "all calls are over", func() bool { return server.Stats().Running == 0 })
	if n := server.params.used.Load(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

func TestPanicIsLoggedWithItsStack(t *testing.T) {
	s := runNATS(t, defaultPayload)
	var log bytes.Buffer
	server := newServer(t, connect(t, s), ServerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	serve(t, server, "f", func(context.Context, nats.Header, *wit.Decoder) ([]byte, error) { panic("on purpose") })
	c := newCaller(t, connect(t, s))
	c.call("f", nil)
	c.send(c.accepted(), "", nil)
	c.result()
	if err := server.Shutdown(withPatience(t)); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "on purpose") ||
		!strings.Contains(text, "TestPanicIsLoggedWithItsStack") {
		t.Errorf("the log is %s", text)
	}
}

func TestParamsThatNeverEndAreGivenUp(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{ParamsTimeout: 20 * time.Millisecond})
	h, called := counting()
	serve(t, server, "f", h)
	nc := connect(t, s)
	t.Run("after the handler has returned", func(t *testing.T) {
		c := newCaller(t, nc)
		c.call("f", []byte{0})
		receive(t, called)
		if got, _ := c.result(); len(got) != 0 {
			t.Errorf("results %q", got)
		}
	})
	t.Run("while the handler waits for them", func(t *testing.T) {
		c := newCaller(t, nc)
		c.call("f", []byte{5, 'a'})
		c.send(c.accepted(), "", []byte{'b'})
		if got, _ := c.result(); len(got) != 0 {
			t.Errorf("results %q", got)
		}
	})
	eventually(t, "both are counted and over", func() bool {
		st := server.Stats()
		return st.Unclosed == 2 && st.Running == 0
	})
}

func TestCallsThatCannotBeAnsweredAreDropped(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{})
	h, called := counting()
	serve(t, server, "f", h)
	subject, err := invocationSubject(testPrefix, "test:wrpc/calls@0.1.0", "f")
	if err != nil {
		t.Fatal(err)
	}
	nc := connect(t, s)
	watch, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	replies := []string{
		"", "*", "a.>", "a..b", ".", "$SYS.REQ.SERVER.PING", "$SRV.PING", subject,
		"other.lattice.wrpc.0.0.1.i.f", server.in.prefix + "0123456789abcdef", "wasmbus.rpc.lattice.other.linkdefs.put",
		"wasmbus.rpc.lattice.other.default.shutdown", "orders",
		"_INBOX." + strings.Repeat("x", 1024),
	}
	for _, reply := range replies {
		if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: []byte{0}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are counted", func() bool { return server.Stats().Malformed == uint64(len(replies)) })
	flush(t, server.nc)
	flush(t, nc)
	if n, _, _ := watch.Pending(); n != len(replies) {
		t.Errorf("%d messages went over the wire for %d calls", n, len(replies))
	}
	if len(called) != 0 {
		t.Errorf("the handler ran %d times", len(called))
	}
}

func TestSlowCallsDoNotBlockEachOther(t *testing.T) {
	const calls = 64
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{})
	var all sync.WaitGroup
	all.Add(calls)
	serve(t, server, "f", func(ctx context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
		all.Done()
		all.Wait() // returns when all calls are here at once
		return echo(ctx, h, d)
	})
	client := newClient(t, connect(t, s), ClientOptions{})
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			if err := callEcho(withPatience(t), client, "f", fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCallsBeyondTheBoundsWaitAndAreThenRefused(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{MaxCalls: 2, MaxWaiting: 1})
	release := make(chan struct{})
	started := make(chan struct{}, 10)
	serve(t, server, "f", func(ctx context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
		started <- struct{}{}
		<-release
		return echo(ctx, h, d)
	})
	client := newClient(t, connect(t, s), ClientOptions{})
	done := make(chan error, 3)
	for range 2 {
		go func() { done <- callEcho(withPatience(t), client, "f", []byte("runs")) }()
		receive(t, started)
	}
	go func() { done <- callEcho(withPatience(t), client, "f", []byte("waits")) }()
	eventually(t, "a call waits", func() bool { return server.Stats().Waiting == 1 })

	patient := newCaller(t, connect(t, s))
	patient.call("f", []byte{0})
	params := patient.accepted()
	// The place of this one is taken until the first has ended its parameters: it is ended without further ado.
	hasty := newCaller(t, connect(t, s))
	hasty.call("f", []byte{0})
	hasty.accepted()
	if got, _ := hasty.result(); len(got) != 0 {
		t.Errorf("a refused call has results %q", got)
	}
	patient.nothing(server)
	patient.send(params, "", []byte("more"))
	patient.send(params, "", nil)
	if got, _ := patient.result(); len(got) != 0 {
		t.Errorf("a refused call has results %q", got)
	}
	if n := server.Stats().Refused; n != 2 {
		t.Errorf("%d calls were refused, want 2", n)
	}
	close(release)
	for range 3 {
		if err := wait(t, done); err != nil {
			t.Error(err)
		}
	}
}

func TestHandleRefusesWhatItCannotServe(t *testing.T) {
	s := runNATS(t, defaultPayload)
	nc := connect(t, s)
	if _, err := NewServer(nc, ServerOptions{Prefix: "a.*"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a prefix that is a wildcard: %v", err)
	}
	server := newServer(t, nc, ServerOptions{})
	serve(t, server, "f", echo)
	if err := server.Handle("test:wrpc/calls@0.1.0", "f", echo); err == nil {
		t.Error("a function can be served twice")
	}
	if err := server.Handle("i", ">", echo); !errors.Is(err, ErrMalformed) {
		t.Errorf("a function that is a wildcard: %v", err)
	}
	if err := server.Shutdown(withPatience(t)); err != nil {
		t.Error(err)
	}
	if err := server.Handle("i", "g", echo); !errors.Is(err, ErrClosed) {
		t.Errorf("after the shutdown: %v", err)
	}
}
