package wrpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// BenchmarkCall compares calls with bare NATS request and reply on the same server, each side with a connection of
// its own. A call is five messages, a request two.
func BenchmarkCall(b *testing.B) {
	s := runNATS(b, defaultPayload)
	caller, callee := connect(b, s), connect(b, s)
	server := newServer(b, callee, ServerOptions{})
	serve(b, server, "echo", echo)
	client := newClient(b, caller, ClientOptions{})
	if _, err := callee.QueueSubscribe("bare", "bare", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	flush(b, callee)

	body := make([]byte, 64)
	header := nats.Header{"source-id": {"provider"}, "target-id": {"component"}, "link-name": {"default"}}
	params := wit.AppendBytes(nil, body)
	call := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		inv := invocation("echo", params)
		inv.Header = header
		return client.Invoke(ctx, inv, func(d *wit.Decoder) error {
			_, err := d.Bytes()
			return err
		})
	}
	request := func() error {
		_, err := caller.Request("bare", body, patience)
		return err
	}
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("wrpc/inflight=%d", inFlight), func(b *testing.B) { inParallel(b, inFlight, call) })
		b.Run(fmt.Sprintf("bare/inflight=%d", inFlight), func(b *testing.B) { inParallel(b, inFlight, request) })
	}
	b.Logf("stats: %+v", server.Stats())
}

func inParallel(b *testing.B, workers int, f func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "calls/s")
}
