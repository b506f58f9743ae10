package wrpc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// A peer begins more calls than may run, and sends next to nothing of their parameters. Nobody else may notice.
func TestCallersWhoDoNotSendTakeNoPlaceFromOthers(t *testing.T) {
	const calls = 4200
	for name, source := range map[string]func(i int) string{
		"of one source":                  func(int) string { return "evil" },
		"of no source":                   func(int) string { return "" },
		"of a source for each call":      func(i int) string { return fmt.Sprint("evil", i) },
		"of the source of somebody else": func(int) string { return "good" },
	} {
		t.Run(name, func(t *testing.T) {
			s := runNATS(t, defaultPayload)
			server := newServer(t, connect(t, s), ServerOptions{ParamsTimeout: patience})
			serve(t, server, "echo", echo)
			subject, err := invocationSubject(testPrefix, "test:wrpc/calls@0.1.0", "echo")
			if err != nil {
				t.Fatal(err)
			}
			evil := connect(t, s)
			for i := range calls {
				m := &nats.Msg{Subject: subject, Reply: fmt.Sprint("_INBOX.evil.", i), Data: []byte{200, 1}} // of 200 bytes
				if from := source(i); from != "" {
					m.Header = nats.Header{"source-id": {from}}
				}
				if err := evil.PublishMsg(m); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all calls of the peer have come", func() bool { return server.Stats().Calls == calls })
			client := newClient(t, connect(t, s), ClientOptions{})
			for range 100 {
				inv := invocation("echo", wit.AppendBytes(nil, []byte("hello")))
				inv.Header = nats.Header{"source-id": {"good"}}
				if err := client.Invoke(withPatience(t), inv,
					func(d *wit.Decoder) error { _, err := d.Bytes(); return err }); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the calls that do not go on are no more than may be", func() bool {
				st := server.Stats()
				return st.Running == 0 && st.Waiting == 0 && st.Awaited <= 4096
			})
			if p := server.Pressure(); p.Refused < calls-4096 || p.Refused > calls {
				t.Errorf("what was refused is told as %+v", p)
			}
			end, cancel := context.WithCancel(t.Context())
			cancel() // the calls of the peer do not end by themselves
			if err := server.Shutdown(end); err == nil {
				t.Error("no call was cut off")
			}
		})
	}
}

// A peer makes many calls that are whole and take long.
func TestOneSourceLeavesRoomForOthers(t *testing.T) {
	s := runNATS(t, defaultPayload)
	server := newServer(t, connect(t, s), ServerOptions{MaxCalls: 8, MaxWaiting: 8})
	release := make(chan struct{})
	serve(t, server, "f", func(ctx context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
		if h.Get("source-id") == "evil" {
			<-release
		}
		return echo(ctx, h, d)
	})
	call := func(c *Client, source string) error {
		inv := invocation("f", wit.AppendBytes(nil, []byte("x")))
		inv.Header = nats.Header{"source-id": {source}}
		return c.Invoke(withPatience(t), inv, func(d *wit.Decoder) error { _, err := d.Bytes(); return err })
	}
	evil := newClient(t, connect(t, s), ClientOptions{})
	const calls = 100
	ends := make(chan error, calls)
	for range calls {
		go func() { ends <- call(evil, "evil") }()
	}
	eventually(t, "all have come", func() bool { return server.Stats().Calls == calls })
	client := newClient(t, connect(t, s), ClientOptions{})
	for i := range 20 {
		if err := call(client, fmt.Sprint("good", i%3)); err != nil {
			t.Error(err)
		}
	}
	p := server.pressure(time.Now().Add(time.Second))
	if p.Refused == 0 || p.Source != "evil" || p.Waiting < time.Second {
		t.Errorf("it is told as %+v", p)
	}
	if p := server.pressure(time.Now().Add(2 * refusalsLast)); p.Refused != 0 || p.Source != "" {
		t.Errorf("long after it is told as %+v", p)
	}
	close(release)
	served := 0
	for range calls {
		if err := <-ends; err == nil {
			served++
		}
	}
	if want := 5 + 5; served != want { // half of the places each, and the one that is there when as many are free
		t.Errorf("%d calls of the one source were served, want %d", served, want)
	}
	if p := server.Pressure(); p.Waiting != 0 {
		t.Errorf("a call is said to wait: %+v", p)
	}
}

func TestParametersMustGetOn(t *testing.T) {
	server := &Server{opts: ServerOptions{ParamsTimeout: 10 * time.Second}.withDefaults()}
	began := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		bytes int64
		heard time.Duration // when the last of them came
		want  time.Duration
	}{
		{0, 0, 10 * time.Second},
		{1, 9 * time.Second, 10*time.Second + 15258*time.Nanosecond},
		{100, 9900 * time.Millisecond, 10*time.Second + 1525878*time.Nanosecond}, // a byte every tenth of a second
		{640 << 10, 9 * time.Second, 19 * time.Second},                           // ten seconds' worth, but nothing since
		{640 << 10, 15 * time.Second, 20 * time.Second},
		{1 << 20, 2 * time.Second, 12 * time.Second},
		{64 << 20, 95 * time.Second, 100 * time.Second}, // never more than this
	} {
		one := &call{server: server, began: began, lastHeard: began.Add(c.heard)}
		one.received.Store(c.bytes)
		if got := one.deadlineLocked().Sub(began); got != c.want {
			t.Errorf("%d bytes until %v: given up after %v, want %v", c.bytes, c.heard, got, c.want)
		}
	}
}

// Whatever comes and goes, in whatever order: nothing is counted wrong, nobody has more than may be, and nothing is
// left in the end.
func TestPlacesAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		server := &Server{opts: ServerOptions{}.withDefaults()}
		p := places{most: 1 + r.IntN(10), mostWaiting: 1 + r.IntN(10), mostAwaited: 1 + r.IntN(10),
			sources: map[string]*source{}}
		var in []*call // running or awaited
		waits := map[*call]bool{}
		now := time.Unix(0, 0)
		check := func() {
			t.Helper()
			running, awaited, waiting := 0, 0, 0
			for _, src := range p.sources {
				running, awaited, waiting = running+src.running, awaited+len(src.awaited), waiting+len(src.waiting)
			}
			if running != p.running || awaited != p.awaited || waiting != p.waiting || waiting != len(waits) ||
				running+awaited != len(in) {
				t.Fatalf("seed %d: %+v, where %d run, %d are awaited and %d wait", seed, p, running, awaited, waiting)
			}
			if p.awaited > p.mostAwaited || p.waiting > p.mostWaiting {
				t.Fatalf("seed %d: too many: %+v", seed, p)
			}
		}
		admit := func() {
			for _, c := range p.next() {
				if !waits[c] || p.running > p.most+p.mostAwaited {
					t.Fatalf("seed %d: a call runs that did not wait", seed)
				}
				delete(waits, c)
				in = append(in, c)
			}
		}
		for range 2000 {
			now = now.Add(time.Second)
			switch n := r.IntN(6); {
			case n < 3:
				c := &call{server: server, from: fmt.Sprint(r.IntN(4))}
				switch p.take(c, now) {
				case placeRunning:
					in = append(in, c)
				case placeWaiting:
					waits[c] = true
				case placeNone, placeAwaited:
				}
			case len(in) == 0:
			case n == 3:
				p.await(in[r.IntN(len(in))])
				admit()
			case n == 4:
				p.resume(in[r.IntN(len(in))])
			default:
				i := r.IntN(len(in))
				p.leave(in[i])
				p.leave(in[i]) // once counts
				in = slices.Delete(in, i, i+1)
				admit()
			}
			check()
			if p.waitingSince().IsZero() != (len(waits) == 0) {
				t.Fatalf("seed %d: %d wait since %v", seed, len(waits), p.waitingSince())
			}
		}
		for len(in) > 0 {
			p.leave(in[0])
			in = in[1:]
			admit()
		}
		if len(p.sources) != 0 || len(waits) != 0 {
			t.Fatalf("seed %d: %+v is left, %d wait", seed, p, len(waits))
		}
	}
}
