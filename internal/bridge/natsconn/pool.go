package natsconn

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Pool has the connections of a process. Its methods may be called by many goroutines at once.
type Pool struct {
	name string
	log  *slog.Logger

	mu   sync.Mutex
	open map[settings.NATSServer]*Conn
}

// NewPool returns a pool without connections, which servers are told by name.
func NewPool(name string, log *slog.Logger) *Pool {
	return &Pool{name: name, log: log, open: make(map[settings.NATSServer]*Conn)}
}

// Acquire returns the connection to a server as somebody, which begins if it is not there. [Conn.Release] follows.
func (p *Pool) Acquire(server settings.NATSServer) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.open[server]
	if c == nil {
		c = p.begin(server)
		p.open[server] = c
	}
	c.users++
	return c
}

// leave takes a user from a connection, and tells whether that was the last.
func (p *Pool) leave(c *Conn) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.users--; c.users > 0 {
		return false
	}
	delete(p.open, c.server)
	return true
}

// Problems are what is wrong with the connections, in a stable order.
func (p *Pool) Problems() status.Problems {
	p.mu.Lock()
	open := make([]*Conn, 0, len(p.open))
	for _, c := range p.open {
		open = append(open, c)
	}
	p.mu.Unlock()
	slices.SortFunc(open, func(a, b *Conn) int { return strings.Compare(a.server.URLs, b.server.URLs) })
	var list status.Problems
	for _, c := range open {
		for _, p := range c.problems() {
			list.Add(p.Kind, p.Text)
		}
	}
	return list
}
