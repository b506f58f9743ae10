package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// producer makes the records and writes down what Kafka has acknowledged.
type producer struct {
	client *testkit.Client

	mu     sync.Mutex
	places map[ID]Place
	sent   int
	failed []string
}

func (p *producer) counts() (sent, acknowledged int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, len(p.places)
}

// run produces records evenly over the duration, then waits until all are acknowledged or ctx ends.
func (p *producer) run(ctx context.Context, cfg config) error {
	r := rand.New(rand.NewPCG(cfg.seed, 1<<32))
	seqs := make([]int, keys)
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < cfg.records; {
		due := min(cfg.records, int(float64(cfg.records)*float64(time.Since(begin))/float64(cfg.duration))+1)
		for ; sent < due; sent++ {
			key := r.IntN(keys)
			seqs[key]++
			p.produce(ctx, ID{key, seqs[key]})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.client.Flush(ctx)
}

func (p *producer) produce(ctx context.Context, id ID) {
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", id.Key), Value: []byte(id.String())}
	p.client.Client.Produce(ctx, r, func(r *kgo.Record, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.failed = append(p.failed, fmt.Sprintf("%v: %v", id, err))
			return
		}
		p.places[id] = Place{r.Partition, r.Offset}
	})
}

// cemetery reads the dead-letter topic.
type cemetery struct {
	mu        sync.Mutex
	dead      []DeadLetter
	buried    map[ID]bool
	next      map[int32]int64
	strangers []string
}

// Headers of dead letters.
const (
	headerError    = "kafka_dlt-exception-message"
	headerAttempts = "kafka_deliveryAttempt"
)

// run reads until ctx ends.
func (c *cemetery) run(ctx context.Context, client *testkit.Client) {
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		// Errors that last show as dead letters that are missing in the end.
		c.take(fetches.Records())
	}
}

func (c *cemetery) take(records []*kgo.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		c.next[r.Partition] = r.Offset + 1
		id, err := parseID(string(r.Value))
		if err != nil {
			c.strangers = append(c.strangers, fmt.Sprintf("a dead letter: %v", err))
			continue
		}
		d := DeadLetter{ID: id, At: r.Timestamp}
		for _, h := range r.Headers {
			switch {
			case h.Key == headerError:
				d.Error = string(h.Value)
			case h.Key == headerAttempts && len(h.Value) == 4:
				d.Attempts = int(binary.BigEndian.Uint32(h.Value))
			}
		}
		c.dead = append(c.dead, d)
		c.buried[id] = true
	}
}
