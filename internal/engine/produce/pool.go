package produce

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options are what all producers of a [Pool] share.
type Options struct {
	Logger *slog.Logger // nil: no log
	Hooks  []kgo.Hook   // of all Kafka clients
	// Connector makes the connections to Kafka; nil: the machine's network.
	Connector kafka.Connector
	// Secrets are taken out of what brokers say; nil: those of the cluster's settings alone.
	Secrets *redact.Redactor
}

// Pool holds one producer for each cluster identity. All its methods, and those of its handles, may be called by
// many goroutines at once.
type Pool struct {
	log     *slog.Logger
	hooks   []kgo.Hook
	connect kafka.Connector
	secrets *redact.Redactor

	mu      sync.Mutex
	clients map[kafka.ClusterKey]*shared // those with users
}

// shared is a producer and the number of its users, which Pool.mu protects.
type shared struct {
	*client
	users int
}

// NewPool returns an empty pool. It needs no closing: producers are closed as their last handle is released.
func NewPool(opts Options) *Pool {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pool{log: log, hooks: opts.Hooks, connect: opts.Connector, secrets: opts.Secrets, clients: make(map[kafka.ClusterKey]*shared)}
}

// Acquire returns a handle on the producer for these settings, made if there is none yet. It does not wait for
// Kafka; an error means that the settings cannot work.
func (p *Pool) Acquire(cluster settings.Cluster, producer settings.ProducerClient) (*Handle, error) {
	key := kafka.NewClusterKey(cluster, producer)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.clients[key]
	if s == nil {
		c, err := p.newClient(cluster, producer)
		if err != nil {
			return nil, fmt.Errorf("making a Kafka producer: %w", err)
		}
		s = &shared{client: c}
		p.clients[key] = s
	}
	s.users++
	return &Handle{pool: p, key: key, shared: s}, nil
}

// Handle is one user's hold on a shared producer.
type Handle struct {
	pool   *Pool
	key    kafka.ClusterKey
	shared *shared

	released atomic.Bool
}

// Release gives the handle back. The last release of a producer waits until its records are acknowledged, at most
// until ctx ends, and closes it; an error tells that records were given up then. A second call does nothing.
func (h *Handle) Release(ctx context.Context) error {
	if h.released.Swap(true) {
		return nil
	}
	p := h.pool
	p.mu.Lock()
	h.shared.users--
	last := h.shared.users == 0
	if last {
		// From now on users get a new producer, and do not wait for the end of this one.
		delete(p.clients, h.key)
	}
	p.mu.Unlock()
	if !last {
		return nil
	}
	return h.shared.close(ctx)
}
