//go:build bench

package batches

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// flow is the load of one way: it produces to the one topic and sees how many records have come through.
type flow struct {
	way     Way
	in, out string
	cl      *testkit.Client
	payload []byte

	produced atomic.Int64
	through  atomic.Int64 // records, without those that came again
	repeated atomic.Int64
	mu       sync.Mutex
	failed   error
	seen     []uint64 // a bit for each id
}

const idsMost = 1 << 26

func (f *flow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

func (f *flow) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// watch keeps count until ctx ends.
func (f *flow) watch(ctx context.Context, group string) {
	if f.way.Sink {
		f.watchCommits(ctx, group)
		return
	}
	for {
		fetches := f.cl.Client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := fetches.Err(); err != nil {
			f.fail(fmt.Errorf("reading %s: %w", f.out, err))
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			id, err := strconv.ParseUint(string(r.Value[:min(idLen, len(r.Value))]), 10, 64)
			if err != nil || id >= idsMost {
				f.fail(fmt.Errorf("%s/%d holds at %d what nobody sent: %w", r.Topic, r.Partition, r.Offset, err))
				return
			}
			if bit := uint64(1) << (id % 64); f.seen[id/64]&bit == 0 {
				f.seen[id/64] |= bit
				f.through.Add(1)
			} else {
				f.repeated.Add(1)
			}
		})
	}
}

func (f *flow) watchCommits(ctx context.Context, group string) {
	admin := kadm.NewClient(f.cl.Client)
	for ctx.Err() == nil {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil && ctx.Err() == nil {
			f.fail(fmt.Errorf("asking what %s has committed: %w", group, err))
			return
		}
		n := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.Topic == f.in {
				n += max(0, o.At)
			}
		})
		if n > f.through.Load() {
			f.through.Store(n)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// copyByHand is what a client of Kafka does that needs no component.
func (f *flow) copyByHand(ctx context.Context, cl *kgo.Client) {
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := fetches.Err(); err != nil {
			f.fail(fmt.Errorf("reading %s: %w", f.in, err))
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			cl.Produce(ctx, &kgo.Record{Topic: f.out, Value: r.Value}, func(_ *kgo.Record, err error) {
				if err != nil && ctx.Err() == nil {
					f.fail(fmt.Errorf("copying: %w", err))
				}
			})
		})
	}
}

// produce keeps the window full until ctx ends.
func (f *flow) produce(ctx context.Context) {
	for ctx.Err() == nil && f.err() == nil {
		if f.produced.Load()-f.through.Load() >= int64(f.way.Window) {
			time.Sleep(time.Millisecond) // a producer that waits for what it watches by the clock
			continue
		}
		for range min(256, f.way.Window) {
			id := f.produced.Add(1) - 1
			value := f.way.fill(fmt.Sprintf("%0*d", idLen, id), f.payload)
			f.cl.Client.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: f.in, Value: value},
				func(_ *kgo.Record, err error) {
					if err != nil {
						f.fail(fmt.Errorf("producing to %s: %w", f.in, err))
					}
				})
		}
	}
}

// run produces for a while, calls measured at both ends of the time that counts, and waits until all has come through.
func (f *flow) run(t *testing.T, ramp, during, patience time.Duration, measured func()) (count int64,
	took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var producing sync.WaitGroup
	producing.Go(func() { f.produce(ctx) })
	time.Sleep(ramp)
	measured()
	began, before := time.Now(), f.through.Load()
	time.Sleep(during)
	count, took = f.through.Load()-before, time.Since(began)
	measured()
	cancel()
	producing.Wait()
	deadline := time.Now().Add(patience)
	for f.through.Load() < f.produced.Load() && f.err() == nil {
		if time.Now().After(deadline) {
			t.Errorf("%s: %d of %d records did not come through", f.way.Name, f.produced.Load()-f.through.Load(),
				f.produced.Load())
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := f.err(); err != nil {
		t.Fatalf("%s: %v", f.way.Name, err)
	}
	return count, took
}
