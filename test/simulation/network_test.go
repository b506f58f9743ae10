package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errCut = errors.New("the simulated network is cut")

// network is the way of one copy to Kafka. Its zero value is a good one.
type network struct {
	stack *kfake.VirtualNetwork

	mu    sync.Mutex
	rng   *rand.Rand
	away  bool // nobody can connect, and connections are gone
	slow  time.Duration
	lame  float64 // the share of answers that wait for slow
	worm  float64 // the share of fetch answers with a damaged byte
	conns map[*conn]struct{}
	hurt  int // answers that were damaged
}

func newNetwork(stack *kfake.VirtualNetwork, rng *rand.Rand) *network {
	return &network{stack: stack, rng: rng, conns: make(map[*conn]struct{})}
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	away := n.away
	n.mu.Unlock()
	if away {
		return nil, errCut
	}
	inner, err := n.stack.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	c := n.connect(inner)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
	return c, nil
}

// cut closes all connections; with away none can be made until mend.
func (n *network) cut(away bool) {
	n.mu.Lock()
	n.away = n.away || away
	var open []*conn
	for c := range n.conns {
		open = append(open, c)
	}
	n.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the other end notices
	}
}

// mend makes the network a good one again.
func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away, n.slow, n.lame, n.worm = false, 0, 0, 0
}

func (n *network) set(change func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// conn is the client's end of a connection to a broker. Requests and answers pass in between as wholes.
type conn struct {
	net.Conn // the client's
	broker   net.Conn
	n        *network

	closing sync.Once
	closed  chan struct{}

	mu    sync.Mutex
	asked map[int32]int16 // by correlation id: the key of the request
	since time.Time       // when the span began in which requests are counted
	many  int
}

const (
	// latency is how long each answer takes at least. Without it a client that asks again at once would stop the clock.
	latency = 200 * time.Microsecond
	// span and tooMany are when a client asks without a break: a moment of it, such as while leaders move, is the client's
	// way.
	span    = 10 * time.Second
	tooMany = 10_000
)

// count is the invariant asks-with-breaks: no client asks thousands of times a second for long. c.mu is held.
func (c *conn) count(key int16) {
	if now := time.Now(); now.Sub(c.since) > span {
		c.since, c.many = now, 0
	}
	if c.many++; c.many == tooMany {
		panic(fmt.Sprintf("asks-with-breaks: %d requests within %s, the last one %s", tooMany, span, kmsg.Key(key).Name()))
	}
}

func (n *network) connect(broker net.Conn) *conn {
	ours, clients := net.Pipe()
	c := &conn{Conn: clients, broker: broker, n: n, closed: make(chan struct{}), asked: make(map[int32]int16)}
	go c.pass(broker, ours, func(request []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		key := int16(binary.BigEndian.Uint16(request[4:]))
		c.asked[int32(binary.BigEndian.Uint32(request[8:]))] = key
		c.count(key)
	})
	go c.pass(ours, broker, func(answer []byte) {
		c.mu.Lock()
		id := int32(binary.BigEndian.Uint32(answer[4:]))
		key := kmsg.Key(c.asked[id])
		delete(c.asked, id)
		c.mu.Unlock()
		select {
		case <-time.After(latency + n.mistreat(key, answer)):
		case <-c.closed:
		}
	})
	return c
}

// pass hands messages on, each a size and that many bytes, until one end is closed, and closes both.
func (c *conn) pass(to, from net.Conn, look func([]byte)) {
	defer func() { _, _, _ = to.Close(), from.Close(), c.Close() }()
	for {
		var size [4]byte
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return
		}
		whole := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(whole, size[:])
		if _, err := io.ReadFull(from, whole[4:]); err != nil {
			return
		}
		look(whole)
		if _, err := to.Write(whole); err != nil {
			return
		}
	}
}

// mistreat damages an answer as the network of the moment does, and says how long it takes.
func (n *network) mistreat(key kmsg.Key, answer []byte) (wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.worm > 0 && (key == kmsg.Fetch || key == kmsg.ShareFetch) && n.rng.Float64() < n.worm {
		n.damage(answer)
	}
	if n.slow > 0 && n.rng.Float64() < n.lame {
		return time.Duration(n.rng.Int64N(int64(n.slow)))
	}
	return 0
}

// damage changes a byte that the checksum of a batch covers. A batch (magic 2) begins with its base offset and length;
// the magic byte is the 17th, the checksum follows, and it covers all that comes behind it.
func (n *network) damage(answer []byte) {
	var batches []int
	for i := 4; i+61 < len(answer); i++ {
		length := int(int32(binary.BigEndian.Uint32(answer[i+8:])))
		records := binary.BigEndian.Uint32(answer[i+57:])
		if answer[i+16] == 2 && answer[i] == 0 && length >= 50 && i+12+length <= len(answer) && records > 0 &&
			records <= 1<<16 {
			batches = append(batches, i)
			i += 11 + length
		}
	}
	if len(batches) == 0 {
		return
	}
	i := batches[n.rng.IntN(len(batches))]
	length := int(int32(binary.BigEndian.Uint32(answer[i+8:])))
	at := i + 21 + n.rng.IntN(length-9) // behind the checksum
	answer[at] ^= 1 << n.rng.IntN(8)
	n.hurt++
}

func (c *conn) Close() error {
	c.closing.Do(func() {
		close(c.closed)
		c.n.mu.Lock()
		delete(c.n.conns, c)
		c.n.mu.Unlock()
		_ = c.broker.Close() // what passes between them ends by that
	})
	return c.Conn.Close()
}
