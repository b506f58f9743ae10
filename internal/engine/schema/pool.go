package schema

import (
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Pool has the registries that links share: those who ask the same registry with the same credentials keep what it has
// said together.
type Pool struct {
	connect kafka.Connector
	log     *slog.Logger

	mu         sync.Mutex
	registries map[string]*pooled
}

// pooled is a registry with the number of those who use it.
type pooled struct {
	registry *Registry
	users    int
}

// NewPool returns an empty pool. A nil connect is the machine's network.
func NewPool(connect kafka.Connector, log *slog.Logger) *Pool {
	return &Pool{connect: connect, log: log, registries: map[string]*pooled{}}
}

// key tells registries apart. It is kept in memory alone.
func (c *config) key(folders []string) string {
	key, err := json.Marshal([]any{c.schema.Registries, c.schema.CA, c.schema.CAFile, c.schema.Timeout, c.schema.Message,
		c.auth.Username, c.auth.Password.Reveal(), c.auth.Token.Reveal(), folders})
	if err != nil {
		panic("schema: marshalling texts and numbers: " + err.Error()) // which cannot fail
	}
	return string(key)
}

// acquire returns the registry of settings. release gives it back, and ends it with the last user.
func (p *Pool) acquire(schema settings.Schema, security *settings.Security) (r *Registry, release func(), err error) {
	cfg := config{schema: schema, auth: security.Registry}
	service := kafka.Service{CA: schema.CA, CAFile: schema.CAFile, Setting: "schema_registry_ca",
		Folders: &settings.Security{AllowedFolders: security.AllowedFolders}, Timeout: schema.Timeout, Connect: p.connect, Log: p.log}
	if err := service.Check(); err != nil {
		return nil, nil, err
	}
	key := cfg.key(security.AllowedFolders)
	p.mu.Lock()
	defer p.mu.Unlock()
	entry := p.registries[key]
	if entry == nil {
		entry = &pooled{registry: newRegistry(cfg, service, p.log)}
		p.registries[key] = entry
	}
	entry.users++
	return entry.registry, sync.OnceFunc(func() { p.release(key, entry) }), nil
}

func (p *Pool) release(key string, entry *pooled) {
	p.mu.Lock()
	entry.users--
	last := entry.users == 0
	if last {
		delete(p.registries, key)
	}
	p.mu.Unlock()
	if last {
		entry.registry.close()
	}
}
