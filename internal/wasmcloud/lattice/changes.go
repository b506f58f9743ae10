package lattice

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
)

// maxChangeBytes bounds the bytes of the messages that wait for the link worker.
const maxChangeBytes = 32 << 20

// changeCost is what a message takes besides its bytes.
const changeCost = 512

// changes are the messages about links and config that wait for the link worker, in the order in which the server sent
// them. nats.go has no bound in bytes for several subscriptions that keep one order, so they are taken out of its
// channel at once. That channel is as long as the queue: while there is more to read, the connection's reader lets
// nobody else run for some milliseconds, in which thousands of small messages come, or a few megabytes.
type changes struct {
	most    int // messages
	account *memory.Account

	mu    sync.Mutex
	list  []*nats.Msg
	bytes int64
	lost  int
	some  chan struct{} // has room for one token: the list is not empty
}

func newChanges(most int, account *memory.Account) *changes {
	return &changes{most: most, account: account, some: make(chan struct{}, 1)}
}

// put queues a message; it reports false where there is no room, and counts it as lost.
func (c *changes) put(msg *nats.Msg) bool {
	cost := int64(len(msg.Data)) + changeCost
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) >= c.most || c.bytes+cost > maxChangeBytes || !c.account.Take(cost) {
		c.lost++
		return false
	}
	c.bytes += cost
	c.list = append(c.list, msg)
	select {
	case c.some <- struct{}{}:
	default:
	}
	return true
}

// take returns the first message, nil where there is none.
func (c *changes) take() *nats.Msg {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		c.list = nil
		return nil
	}
	msg := c.list[0]
	c.list[0] = nil
	c.list = c.list[1:]
	cost := int64(len(msg.Data)) + changeCost
	c.bytes -= cost
	c.account.Give(cost)
	return msg
}

func (c *changes) dropped() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// collect moves messages from the connection's channel to the queue until the worker is to end.
func (r *run) collect() {
	for {
		select {
		case <-r.quit:
			return
		case msg := <-r.arrived:
			if !r.changes.put(msg) {
				r.log.Error("a change of a link or of the config was dropped: too many wait, or too many bytes of them; restart the provider to read all links again",
					"subject", msg.Subject, "bytes", len(msg.Data), "dropped", r.changes.dropped())
			}
		}
	}
}
