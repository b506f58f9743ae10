package wrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// peer is a scripted server: it does on the wire what a test says and no more.
type peer struct {
	tb    testing.TB
	nc    *nats.Conn
	calls *nats.Subscription
	inbox string
	in    *nats.Subscription
}

func newPeer(tb testing.TB, nc *nats.Conn, function string) *peer {
	tb.Helper()
	p := &peer{tb: tb, nc: nc, inbox: nc.NewInbox()}
	subject, err := invocationSubject(testPrefix, "test:wrpc/calls@0.1.0", function)
	if err != nil {
		tb.Fatal(err)
	}
	if p.calls, err = nc.SubscribeSync(subject); err != nil {
		tb.Fatal(err)
	}
	if p.in, err = nc.SubscribeSync(p.inbox + ".call.>"); err != nil {
		tb.Fatal(err)
	}
	flush(tb, nc)
	return p
}

func (p *peer) next(sub *nats.Subscription) *nats.Msg {
	p.tb.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		p.tb.Fatalf("waiting for a message on %s: %v", sub.Subject, err)
	}
	return m
}

func (p *peer) send(subject, reply string, data []byte) {
	p.tb.Helper()
	if err := p.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: data}); err != nil {
		p.tb.Fatal(err)
	}
}

// accept accepts m and returns the subject that its parameters are to come on.
func (p *peer) accept(m *nats.Msg) string {
	p.tb.Helper()
	p.send(m.Reply, p.inbox+".call", nil)
	return p.inbox + ".call.params"
}

// end waits for the end of the parameters and returns what came before it.
func (p *peer) end() (rest []byte, messages int) {
	p.tb.Helper()
	for {
		m := p.next(p.in)
		if m.Subject != p.inbox+".call.params" {
			p.tb.Fatalf("a message came on %s", m.Subject)
		}
		if len(m.Data) == 0 {
			return rest, messages
		}
		rest = append(rest, m.Data...)
		messages++
	}
}

// begin starts a call of f in the background.
func begin(ctx context.Context, c *Client, params []byte, decode func(*wit.Decoder) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Invoke(ctx, invocation("f", params), decode) }()
	return done
}

func wait(tb testing.TB, done <-chan error) error {
	tb.Helper()
	select {
	case err := <-done:
		return err
	case <-withPatience(tb).Done():
		tb.Fatal("the call does not return")
		return nil
	}
}

func decodeInto(dst *string) func(*wit.Decoder) error {
	return func(d *wit.Decoder) (err error) {
		*dst, err = d.String()
		return err
	}
}

func TestOneCallOnTheWire(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	var got string
	done := begin(withPatience(t), client, []byte("params"), decodeInto(&got))

	m := p.next(p.calls)
	if string(m.Data) != "params" {
		t.Errorf("the first message is %q", m.Data)
	}
	p.accept(m)
	p.accept(m)
	if rest, _ := p.end(); len(rest) != 0 {
		t.Errorf("%q came after complete parameters", rest)
	}
	// The value is complete without any end of the results.
	p.send(m.Reply+".results", "", []byte{2, 'o', 'k'})
	if err := wait(t, done); err != nil || got != "ok" {
		t.Errorf("got %q (%v)", got, err)
	}
	flush(t, client.nc)
	flush(t, p.nc)
	if n, _, _ := p.in.Pending(); n != 0 {
		t.Errorf("the repeated accept made the client send %d messages more", n)
	}
	// What comes late is ignored, and a further accept only gets the end of the parameters again.
	p.send(m.Reply+".results", "", nil)
	p.accept(m)
	if rest, _ := p.end(); len(rest) != 0 {
		t.Errorf("a late accept got %q", rest)
	}
}

func TestInboxKeepsTheConnectionsPrefix(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s, nats.CustomInboxPrefix("mine.inbox")), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	ctx, cancel := context.WithCancel(context.Background())
	done := begin(ctx, client, nil, nil)
	if m := p.next(p.calls); !strings.HasPrefix(m.Reply, "mine.inbox.") {
		t.Errorf("the reply subject is %s", m.Reply)
	}
	cancel()
	if err := wait(t, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestResultsMayComeInSingleBytes(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	want := strings.Repeat("grain", 1000)
	var got string
	done := begin(withPatience(t), client, nil, decodeInto(&got))
	m := p.next(p.calls)
	p.accept(m)
	for _, b := range wit.AppendString(nil, want) {
		p.send(m.Reply+".results", "", []byte{b})
	}
	if err := wait(t, done); err != nil || got != want {
		t.Errorf("got %d bytes (%v)", len(got), err)
	}
}

func TestLongParamsFollowTheAccept(t *testing.T) {
	const payload = 4 << 10
	s := runNATS(t, payload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	header := nats.Header{"source-id": {"provider"}, "traceparent": {strings.Repeat("x", 100), "y"}}
	inv := invocation("f", bytes.Repeat([]byte("0123456789"), 2000))
	inv.Header = header
	done := make(chan error, 1)
	go func() { done <- client.Invoke(withPatience(t), inv, nil) }()

	m := p.next(p.calls)
	if want := payload - int(headerBytes(header)) - len(m.Reply); len(m.Data) != want {
		t.Errorf("the first message has %d bytes of parameters, there is room for %d", len(m.Data), want)
	}
	if m.Header.Get("source-id") != "provider" {
		t.Errorf("headers %v", m.Header)
	}
	p.accept(m)
	p.accept(m) // repeated accepts do no harm
	rest, messages := p.end()
	if got := append(m.Data, rest...); !bytes.Equal(got, inv.Params) {
		t.Errorf("%d bytes of parameters came that differ from the %d sent", len(got), len(inv.Params))
	}
	if want := (len(rest) + payload - 1) / payload; messages != want {
		t.Errorf("the rest came in %d messages, not %d", messages, want)
	}
	p.send(m.Reply+".results", "", nil)
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	flush(t, p.nc)
	if n, _, _ := p.in.Pending(); n != 0 {
		t.Errorf("the repeated accept made the client send %d messages more", n)
	}
}

// A message of exactly the maximum payload is legal; the room that is left for the reply subject is caution.
func TestHeadersAreCountedAsNATSDoes(t *testing.T) {
	header := nats.Header{"a": {"1"}, "long-name": {"", "two values"}}
	const want = len("NATS/1.0\r\n" + "a: 1\r\n" + "long-name: \r\n" + "long-name: two values\r\n" + "\r\n")
	if got := headerBytes(header); got != int64(want) {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if got := headerBytes(nil); got != 0 {
		t.Errorf("no headers count %d bytes", got)
	}
}

func TestHeadersThatFillTheMessageMoveTheParamsBehind(t *testing.T) {
	const payload = 1 << 10
	s := runNATS(t, payload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	inv := invocation("f", []byte("params"))
	room := payload - int(headerBytes(nats.Header{"k": {""}}))
	inv.Header = nats.Header{"k": {strings.Repeat("x", room)}}
	done := make(chan error, 1)
	go func() { done <- client.Invoke(withPatience(t), inv, nil) }()
	m := p.next(p.calls)
	p.accept(m)
	if rest, _ := p.end(); len(m.Data) != 0 || string(rest) != "params" {
		t.Errorf("parameters %q, then %q", m.Data, rest)
	}
	p.send(m.Reply+".results", "", nil)
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	inv.Header = nats.Header{"k": {strings.Repeat("x", room+1)}}
	if err := client.Invoke(withPatience(t), inv, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("headers over the maximum give %v", err)
	}
}

func TestParamsAreEndedWhateverHappens(t *testing.T) {
	s := runNATS(t, 1<<10)
	client := newClient(t, connect(t, s), ClientOptions{PartsPause: patience})
	p := newPeer(t, connect(t, s), "f")
	t.Run("when the context ends before the rest is sent", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		done := begin(ctx, client, make([]byte, 5000), nil)
		p.accept(p.next(p.calls))
		cancel()
		p.end()
		if err := wait(t, done); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("when the accept comes after the context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		done := begin(ctx, client, make([]byte, 5000), nil)
		m := p.next(p.calls)
		cancel()
		if err := wait(t, done); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "to take the call") {
			t.Error(err)
		}
		p.accept(m)
		p.end()
	})
	t.Run("when the results have ended before the accept", func(t *testing.T) {
		done := begin(withPatience(t), client, make([]byte, 5000), nil)
		m := p.next(p.calls)
		p.send(m.Reply+".results", "", nil)
		if err := wait(t, done); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
		p.accept(m)
		p.end()
	})
}

// Between the end of a call's time and its end here there is a moment in which an accept still finds it.
func TestAnAcceptOfACallThatIsGivenUpEndsItsParameters(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	call := &pending{client: client, ctx: ctx}
	call.results.limit, call.results.shared = defaultPayload, &client.results
	if _, err := call.awaitAccept(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("it ends with %v", err)
	}
	call.accept(&nats.Msg{Reply: p.inbox + ".call"})
	p.end()
}

func TestFailuresOfACallHaveTheirErrors(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{MaxResultBytes: 1 << 10})
	var got string
	t.Run("nobody serves the function", func(t *testing.T) {
		err := client.Invoke(withPatience(t), invocation("nowhere", []byte("x")), decodeInto(&got))
		if !errors.Is(err, ErrNoResponders) {
			t.Error(err)
		}
		err = client.Invoke(withPatience(t), invocation("nowhere", make([]byte, 3<<20)), decodeInto(&got))
		if !errors.Is(err, ErrNoResponders) {
			t.Errorf("with long parameters: %v", err)
		}
	})
	t.Run("the subject cannot be called", func(t *testing.T) {
		for _, target := range []string{"", "a.*", "a.>", "a b", "a..b"} {
			inv := invocation("f", nil)
			inv.Target = target
			if err := client.Invoke(withPatience(t), inv, nil); !errors.Is(err, ErrMalformed) {
				t.Errorf("%q: %v", target, err)
			}
		}
	})
	p := newPeer(t, connect(t, s), "f")
	for _, c := range []struct {
		name    string
		script  func(m *nats.Msg)
		want    error
		mention string
	}{
		{name: "the results end without a value", want: ErrIncomplete, mention: "reading results", script: func(m *nats.Msg) {
			p.accept(m)
			p.send(m.Reply+".results", "", nil)
		}},
		{name: "the results end within the value", want: ErrIncomplete, script: func(m *nats.Msg) {
			p.accept(m)
			p.send(m.Reply+".results", "", []byte{5, 'a'})
			p.send(m.Reply+".results", "", nil)
		}},
		{name: "the value is malformed", want: ErrMalformed, script: func(m *nats.Msg) {
			p.accept(m)
			p.send(m.Reply+".results", "", []byte{1, 0xff})
		}},
		{name: "the value claims to be huge", want: ErrTooLarge, script: func(m *nats.Msg) {
			p.accept(m)
			p.send(m.Reply+".results", "", []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
		}},
		{name: "the results are huge", want: ErrTooLarge, script: func(m *nats.Msg) {
			p.accept(m)
			p.send(m.Reply+".results", "", make([]byte, 2<<10))
		}},
		{name: "the accept has no reply subject", want: ErrMalformed, script: func(m *nats.Msg) {
			p.send(m.Reply, "", nil)
		}},
		{name: "the accept names a subject of the NATS server", want: ErrMalformed, script: func(m *nats.Msg) {
			p.send(m.Reply, "$SYS.REQ.SERVER.PING", nil)
		}},
		{name: "the accept names a wildcard", want: ErrMalformed, script: func(m *nats.Msg) {
			p.send(m.Reply, "a.*", nil)
		}},
		{name: "the accept names an invocation", want: ErrMalformed, script: func(m *nats.Msg) {
			p.send(m.Reply, m.Subject, nil)
		}},
		{name: "a status comes", want: &StatusError{Code: "408", Description: "Request Timeout"}, mention: "408",
			script: func(m *nats.Msg) {
				reply := &nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"408"}, "Description": {"Request Timeout"}}}
				if err := p.nc.PublishMsg(reply); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := begin(withPatience(t), client, nil, decodeInto(&got))
			c.script(p.next(p.calls))
			err := wait(t, done)
			var status, want *StatusError
			if errors.As(c.want, &want) && errors.As(err, &status) {
				if *status != *want {
					t.Errorf("status %+v", status)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.mention) {
				t.Errorf("%v does not mention %q", err, c.mention)
			}
			if n := client.results.used.Load(); n != 0 {
				t.Errorf("%d bytes are still charged after the call", n)
			}
			if n := len(client.pending()); n != 0 {
				t.Errorf("%d calls are left over", n)
			}
		})
	}
}

func TestResultsOfAllCallsAreBoundedTogether(t *testing.T) {
	s := runNATS(t, defaultPayload)
	client := newClient(t, connect(t, s), ClientOptions{MaxBufferedBytes: 1000})
	p := newPeer(t, connect(t, s), "f")
	var got string
	first := begin(withPatience(t), client, nil, decodeInto(&got))
	m1 := p.next(p.calls)
	p.accept(m1)
	p.send(m1.Reply+".results", "", append([]byte{0xd8, 0x04}, make([]byte, 599)...)) // all but one byte of 600
	second := begin(withPatience(t), client, nil, decodeInto(new(string)))
	m2 := p.next(p.calls)
	p.accept(m2)
	p.send(m2.Reply+".results", "", make([]byte, 600))
	if err := wait(t, second); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the call that exceeds the bound: %v", err)
	}
	p.send(m1.Reply+".results", "", []byte{0})
	if err := wait(t, first); err != nil || len(got) != 600 {
		t.Errorf("the call within the bound: %d bytes, %v", len(got), err)
	}
}

func TestDeadlineEndsACall(t *testing.T) {
	s := runNATS(t, defaultPayload)
	newPeer(t, connect(t, s), "f") // takes calls and never answers
	client := newClient(t, connect(t, s), ClientOptions{Timeout: 1})
	err := client.Invoke(context.Background(), invocation("f", nil), nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context without deadline gives %v", err)
	}
	if n := len(client.pending()); n != 0 {
		t.Errorf("%d calls are left over", n)
	}
}

func TestLostConnectionFailsCalls(t *testing.T) {
	s := runNATS(t, defaultPayload)
	var lost bool
	nc := connect(t, s, nats.NoReconnect(), nats.DisconnectErrHandler(func(*nats.Conn, error) { lost = true }))
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	client := newClient(t, nc, ClientOptions{})
	p := newPeer(t, connect(t, s), "f")
	var calls []<-chan error
	for i := range 3 {
		calls = append(calls, begin(withPatience(t), client, make([]byte, i<<20), decodeInto(new(string))))
		if m := p.next(p.calls); i > 0 {
			p.accept(m)
		}
	}
	s.Shutdown()
	for i, done := range calls {
		if err := wait(t, done); !errors.Is(err, ErrDisconnected) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := client.Invoke(withPatience(t), invocation("f", nil), nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("without a connection: %v", err)
	}
	<-closed
	if !lost {
		t.Error("the connection's own handler was not called")
	}
}

func TestClientGoesOnAfterAReconnect(t *testing.T) {
	s := runNATS(t, defaultPayload)
	nc := connect(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(1))
	client := newClient(t, nc, ClientOptions{})
	server := newServer(t, connect(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(1)), ServerOptions{})
	serve(t, server, "echo", echo)
	p := newPeer(t, connect(t, s), "f")
	done := begin(withPatience(t), client, nil, nil)
	p.next(p.calls)
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, done); !errors.Is(err, ErrDisconnected) {
		t.Errorf("the call under way: %v", err)
	}
	eventually(t, "a call succeeds again", func() bool {
		return callEcho(withPatience(t), client, "echo", []byte("again")) == nil
	})
}

func TestCloseWaitsAndThenCutsOff(t *testing.T) {
	s := runNATS(t, defaultPayload)
	p := newPeer(t, connect(t, s), "f")
	client, err := NewClient(connect(t, s), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := begin(withPatience(t), client, nil, nil)
	p.next(p.calls)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := client.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("closing with a call under way: %v", err)
	}
	if err := wait(t, done); !errors.Is(err, ErrClosed) {
		t.Errorf("the call under way: %v", err)
	}
	if err := client.Invoke(withPatience(t), invocation("f", nil), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a further call: %v", err)
	}
	if err := client.Close(withPatience(t)); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestForgedInboxMessagesAreIgnored(t *testing.T) {
	s := runNATS(t, defaultPayload)
	nc := connect(t, s)
	client := newClient(t, nc, ClientOptions{})
	flush(t, nc) // so that the server knows the inbox
	forger := connect(t, s)
	trap, err := forger.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, forger)
	prefix := client.in.prefix
	sent := 0
	for _, subject := range []string{"x", "0123456789abcdeF", "0123456789abcdef.results", "0123456789abcdef.params",
		"0123456789abcdef0"} {
		for _, reply := range []string{"", "$SYS.x", "a.*", "l.p.wrpc.0.0.1.i.f", "wasmbus.rpc.l.p.linkdefs", "a.b"} {
			if err := forger.PublishMsg(&nats.Msg{Subject: prefix + subject, Reply: reply, Data: []byte("forged")}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	// Only this is answered, by the end of parameters, as a call that has ended may have been accepted late.
	if err := forger.PublishRequest(prefix+"0123456789abcdef", "_INBOX.late", nil); err != nil {
		t.Fatal(err)
	}
	sent++
	for range sent {
		if _, err := trap.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
	}
	m, err := trap.NextMsg(patience)
	if err != nil || m.Subject != "_INBOX.late.params" || len(m.Data) != 0 {
		t.Errorf("the client sent %v (%v)", m, err)
	}
	if n, _, _ := trap.Pending(); n != 0 {
		t.Errorf("%d more messages came", n)
	}
}

func Example_subject() {
	subject, err := invocationSubject("default.kafka", "wasmcloud:messaging/consumer@0.2.0", "publish")
	fmt.Println(subject, err)
	// Output: default.kafka.wrpc.0.0.1.wasmcloud:messaging/consumer@0.2.0.publish <nil>
}
