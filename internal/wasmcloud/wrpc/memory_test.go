package wrpc

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// liveHeap is what is in use, garbage apart.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// nothing tells whether a server and its account hold nothing.
func nothing(s *Server, a *memory.Account) func() bool {
	return func() bool { return s.params.used.Load() == 0 && a.Used() == 0 }
}

// Each call sends most of a value and then nothing. What all of them hold is the budget, the slices that values grow in
// included; the calls that there was no room for are ended, and others are served.
func TestCallsThatNeverEndHoldNoMoreThanTheBudget(t *testing.T) {
	nats := runNATS(t, defaultPayload)
	const limit = 48 << 20
	account := memory.New(1 << 30).Open("calls")
	server := newServer(t, connect(t, nats),
		ServerOptions{MaxBufferedBytes: limit, Memory: account, ParamsTimeout: 5 * time.Second})
	serve(t, server, "echo", echo)
	part := make([]byte, 512<<10)
	before := liveHeap()
	for range 30 {
		c := newCaller(t, connect(t, nats, natsgo.SyncQueueLen(16)))
		c.call("echo", wit.AppendCount(nil, 16<<20))
		params := c.accepted()
		for range 31 { // of 32
			c.send(params, "", part)
		}
		if err := c.nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "calls being refused", func() bool { return server.Stats().Malformed > 0 })
	if held := liveHeap() - before; held > limit+24<<20 {
		t.Errorf("30 calls of 15.5 MiB hold %d MiB where %d are allowed", held>>20, limit>>20)
	}
	if used := server.params.used.Load(); used > limit || account.Used() > limit {
		t.Errorf("%d MiB are used, and %d taken from the account, of %d", used>>20, account.Used()>>20, limit>>20)
	}
	eventually(t, "everything being given back", nothing(server, account))
	if err := callEcho(t.Context(), newClient(t, connect(t, nats), ClientOptions{}), "echo", part); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything being given back", nothing(server, account))
}

func TestCallsThatWaitHoldNoMoreThanTheBudget(t *testing.T) {
	nats := runNATS(t, defaultPayload)
	const limit = 16 << 20
	account := memory.New(1 << 30).Open("calls")
	server := newServer(t, connect(t, nats),
		ServerOptions{MaxBufferedBytes: limit, Memory: account, MaxCalls: 1, ParamsTimeout: time.Second})
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	var once sync.Once
	serve(t, server, "wait", func(context.Context, natsgo.Header, *wit.Decoder) ([]byte, error) {
		once.Do(func() { begun <- struct{}{}; <-release })
		return nil, nil
	})
	c := newCaller(t, connect(t, nats, natsgo.SyncQueueLen(16)))
	c.call("wait", nil)
	c.send(c.accepted(), "", nil)
	<-begun
	body := make([]byte, 512<<10)
	before := liveHeap()
	for range 100 {
		newCaller(t, c.nc).call("wait", body)
	}
	if err := c.nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls being refused",
		func() bool { return server.Stats().Refused+uint64(server.Stats().Waiting) == 100 })
	if held := liveHeap() - before; held > limit+8<<20 {
		t.Errorf("100 waiting calls of 512 KiB hold %d MiB where %d are allowed", held>>20, limit>>20)
	}
	if n := server.Stats().Waiting; n < 20 || n > 32 {
		t.Errorf("%d calls of 512 KiB wait where there are 16 MiB", n)
	}
	close(release)
	eventually(t, "everything being given back", nothing(server, account))
}

func TestTheAccountBoundsCallsToo(t *testing.T) {
	nats := runNATS(t, defaultPayload)
	account := memory.New(8 << 20).Open("calls")
	server := newServer(t, connect(t, nats), ServerOptions{Memory: account})
	serve(t, server, "echo", echo)
	client := newClient(t, connect(t, nats), ClientOptions{})
	if err := callEcho(t.Context(), client, "echo", make([]byte, 1<<20)); err != nil {
		t.Errorf("what there is room for: %v", err)
	}
	if err := callEcho(t.Context(), client, "echo", make([]byte, 8<<20)); err == nil {
		t.Error("8 MiB were echoed where there are 8 MiB for everything")
	}
	eventually(t, "everything being given back", nothing(server, account))
}
