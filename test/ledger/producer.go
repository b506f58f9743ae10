package ledger

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer makes the records of a topic and writes down what Kafka has acknowledged.
type Producer struct {
	Client *kgo.Client
	Topic  string
	Keys   int
	Seed   uint64 // of the order of the keys

	mu     sync.Mutex
	places map[ID]Place
	sent   int
	failed []string
}

// Run produces so many records evenly over a time, then waits until all are acknowledged or ctx ends.
func (p *Producer) Run(ctx context.Context, records int, over time.Duration) error {
	r := rand.New(rand.NewPCG(p.Seed, 1<<32))
	seqs := make([]int, p.Keys)
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < records; {
		due := min(records, int(float64(records)*float64(time.Since(begin))/float64(over))+1)
		for ; sent < due; sent++ {
			key := r.IntN(p.Keys)
			seqs[key]++
			p.send(ctx, ID{key, seqs[key]})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.Client.Flush(ctx)
}

func (p *Producer) send(ctx context.Context, id ID) {
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	p.Client.Produce(ctx, &kgo.Record{Topic: p.Topic, Key: id.RecordKey(), Value: []byte(id.String())},
		func(r *kgo.Record, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil {
				p.failed = append(p.failed, fmt.Sprintf("%v: %v", id, err))
				return
			}
			if p.places == nil {
				p.places = make(map[ID]Place)
			}
			p.places[id] = Place{r.Partition, r.Offset}
		})
}

// Counts tells how many records were sent, and how many of them acknowledged.
func (p *Producer) Counts() (sent, acknowledged int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, len(p.places)
}

// Places are where the acknowledged records are stored. The error is that of records that could not be produced.
func (p *Producer) Places() (map[ID]Place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.failed) > 0 {
		return nil, fmt.Errorf("%d records of %s could not be produced, the first: %s", len(p.failed), p.Topic, p.failed[0])
	}
	return maps.Clone(p.places), nil
}
