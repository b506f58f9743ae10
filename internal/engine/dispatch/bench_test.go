package dispatch

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// BenchmarkAcknowledge is what keeping track of finished records costs apart from their calls: they finish in any
// order within the 64 oldest, and the offset to commit moves on. A time is that of one record.
func BenchmarkAcknowledge(b *testing.B) {
	s := &script{handle: func(context.Context, *record.Record) (record.Verdict, error) { return record.Done, nil }}
	cfg, _ := config(s)
	cfg.Delivery.Order, cfg.Delivery.MaxInFlight = settings.OrderNone, 0 // no call begins
	d := New(cfg)
	p := d.Open("t", 0, 0)
	const window, batch = 64, 512
	order := rand.New(rand.NewPCG(1, 2))
	var open []*item
	var none result
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
	if want := p.Next(); p.committable.offset != want {
		b.Errorf("the offset to commit is %d, want %d", p.committable.offset, want)
	}
	d.Close(b.Context())
}
