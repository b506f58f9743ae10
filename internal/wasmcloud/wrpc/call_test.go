package wrpc

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// noise is a body in which a part that is lost, doubled or out of place shows.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestLargeBodiesGoBothWays(t *testing.T) {
	for _, c := range []struct {
		name    string
		payload int32
		sizes   []int
	}{
		{"with the default maximum payload", defaultPayload, []int{0, 1, 1<<20 - 100, 1 << 20, 1<<20 + 1, 5 << 20}},
		{"with a small maximum payload", 4 << 10, []int{0, 1, 3900, 4 << 10, 4<<10 + 1, 1 << 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := runNATS(t, c.payload)
			server := newServer(t, connect(t, s), ServerOptions{})
			headers := make(chan string, len(c.sizes))
			serve(t, server, "echo", func(ctx context.Context, h nats.Header, d *wit.Decoder) ([]byte, error) {
				headers <- h.Get("traceparent")
				return echo(ctx, h, d)
			})
			client := newClient(t, connect(t, s), ClientOptions{})
			header := nats.Header{"source-id": {"component"}, "traceparent": {strings.Repeat("0", 55)}}
			for _, size := range c.sizes {
				body := noise(size)
				inv := invocation("echo", wit.AppendBytes(nil, body))
				inv.Header = header
				var got []byte
				err := client.Invoke(withPatience(t), inv, func(d *wit.Decoder) (err error) {
					got, err = d.Bytes()
					return err
				})
				if err != nil || string(got) != string(body) {
					t.Errorf("%d bytes: %d came back (%v)", size, len(got), err)
				}
				if h := receive(t, headers); h != header.Get("traceparent") {
					t.Errorf("the handler saw traceparent %q", h)
				}
			}
		})
	}
}

func TestManyLargeCallsAtOnce(t *testing.T) {
	s := runNATS(t, 16<<10)
	server := newServer(t, connect(t, s), ServerOptions{MaxCalls: 8})
	serve(t, server, "echo", echo)
	client := newClient(t, connect(t, s), ClientOptions{PartsPause: -1})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 8 {
				if err := callEcho(withPatience(t), client, "echo", noise((i*8+j)*500)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st := server.Stats()
	if st.Calls != 256 || st.Failed+st.Refused+st.Unclosed+st.Malformed != 0 {
		t.Errorf("%+v", st)
	}
}

func TestClientAndServerShareAConnection(t *testing.T) {
	s := runNATS(t, defaultPayload)
	nc := connect(t, s)
	server := newServer(t, nc, ServerOptions{})
	serve(t, server, "echo", echo)
	client := newClient(t, nc, ClientOptions{})
	if err := callEcho(withPatience(t), client, "echo", noise(3<<20)); err != nil {
		t.Error(err)
	}
}

func TestServersOfOneIDShareTheCalls(t *testing.T) {
	s := runNATS(t, defaultPayload)
	servers := []*Server{
		newServer(t, connect(t, s), ServerOptions{}),
		newServer(t, connect(t, s), ServerOptions{}),
	}
	for _, server := range servers {
		serve(t, server, "echo", echo)
	}
	client := newClient(t, connect(t, s), ClientOptions{})
	const calls = 200
	for range calls {
		if err := callEcho(withPatience(t), client, "echo", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	a, b := servers[0].Stats().Calls, servers[1].Stats().Calls
	if a+b != calls || a == 0 || b == 0 {
		t.Errorf("the servers took %d and %d of %d calls", a, b, calls)
	}
}

// stream joins small parts, so that what a peer sends bounds what is held for it.
func TestStreamOfSingleBytesIsHeldInFewParts(t *testing.T) {
	s := &stream{limit: 1 << 20, shared: &budget{limit: 1 << 20}}
	want := noise(300_000)
	for _, b := range want {
		if err := s.push([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.queue); n > 20 {
		t.Errorf("%d bytes are held in %d parts", len(want), n)
	}
	got := make([]byte, 0, len(want))
	for len(got) < len(want) {
		part, err := s.next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if string(got) != string(want) {
		t.Error("the bytes differ")
	}
}
