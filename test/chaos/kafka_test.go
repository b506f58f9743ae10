package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// cemetery reads the dead-letter topic.
type cemetery struct {
	mu        sync.Mutex
	dead      []DeadLetter
	buried    map[ledger.ID]bool
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
		id, err := ledger.ParseID(string(r.Value))
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
