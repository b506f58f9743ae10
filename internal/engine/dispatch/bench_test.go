package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// BenchmarkAcknowledge is what keeping track of finished records costs apart from their calls: they finish in any
// order within the 64 oldest, and the offset to commit moves on. A time is that of one record.
func BenchmarkAcknowledge(b *testing.B) {
	s := &script{handle: func(context.Context, *record.Record) (record.Kind, error) { return record.Done, nil }}
	cfg, _ := config(s)
	cfg.Delivery.Order, cfg.Delivery.MaxInFlight = settings.OrderNone, 0 // no call begins
	d := New(cfg)
	p := d.Open("t", 0, 0)
	const window, batch = 64, 512
	order := rand.New(rand.NewPCG(1, 2))
	var open []*item
	var none step
	acknowledge := func() {
		i := order.IntN(min(window, len(open)))
		it := open[i]
		open[i] = open[0]
		open = open[1:]
		d.mu.Lock()
		p.finish(it, &none)
		d.mu.Unlock()
	}
	b.ReportAllocs()
	for offset := 0; b.Loop(); offset++ {
		if offset%batch == 0 {
			records := make([]*record.Record, batch)
			for i := range records {
				records[i] = &record.Record{Offset: int64(offset + i)}
			}
			p.Add(records, first)
			d.mu.Lock()
			for i := range batch {
				open = append(open, p.items.at(p.items.len()-batch+i))
			}
			p.ready = readyLanes{} // nothing calls them
			d.mu.Unlock()
		}
		acknowledge()
	}
	b.StopTimer()
	for len(open) > 0 {
		acknowledge()
	}
	if want := p.Next(); p.committable.Offset != want {
		b.Errorf("the offset to commit is %d, want %d", p.committable.Offset, want)
	}
	d.Close(b.Context())
}

// nobody looks at what is told.
type nobody struct{}

func (nobody) Redelivered()                         {}
func (nobody) Batched(int)                          {}
func (nobody) Delivered(record.Kind, time.Duration) {}
func (nobody) GivenUp(time.Duration)                {}
func (nobody) RecordGivenUp(bool)                   {}
func (nobody) RecordDelayed(time.Duration)          {}

// BenchmarkDeliver is what a record costs from its arrival until it is finished, its call apart, one by one and in
// batches.
func BenchmarkDeliver(b *testing.B) {
	for _, batches := range []int{1, 100} {
		for _, order := range []settings.Order{settings.OrderKey, settings.OrderNone} {
			b.Run(fmt.Sprintf("batch=%d/order=%v", batches, order), func(b *testing.B) {
				cfg, _ := config(nil)
				cfg.Receiver, cfg.Observer = instant{}, nobody{}
				cfg.Delivery.Order, cfg.Delivery.MaxInFlight = order, 16
				if batches > 1 {
					cfg.Delivery.MaxInFlight = 4
					cfg.Batches, cfg.Delivery.Batch = true, settings.Batch{MaxRecords: batches, MaxBytes: 1 << 20}
				}
				progress := make(chan struct{}, 1)
				cfg.Progress = func() {
					select {
					case progress <- struct{}{}:
					default:
					}
				}
				d := New(cfg)
				p := d.Open("t", 0, 0)
				const chunk = 1000
				keys := make([][]byte, 50)
				for i := range keys {
					keys[i] = fmt.Append(nil, i)
				}
				records := make([]record.Record, chunk)
				list := make([]*record.Record, chunk)
				b.ReportAllocs()
				for from := int64(0); b.Loop(); from++ {
					if from%chunk != 0 {
						continue
					}
					for i := range records {
						records[i] = record.Record{Topic: "t", Offset: from + int64(i), Key: keys[i%len(keys)]}
						list[i] = &records[i]
					}
					p.Add(list, first)
					for at, _ := p.Position(); at.Offset < from+chunk; at, _ = p.Position() {
						<-progress
					}
				}
				b.StopTimer()
				d.Close(b.Context())
			})
		}
	}
}
