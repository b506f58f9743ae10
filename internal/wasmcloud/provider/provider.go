package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/process"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/records"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Options are what a provider needs besides the host's data.
type Options struct {
	Logger *slog.Logger
	// ShutdownTimeout is how long a shutdown may take: less than the host waits before it kills the process.
	// 0 leaves it to the provider's config (provider_shutdown_timeout).
	ShutdownTimeout time.Duration
	// IgnoreParent keeps the provider running when the process that started this one ends. It is for processes that
	// no host started.
	IgnoreParent bool
	// OnAdmin is called with the address on which the admin address is served, before Run joins the lattice; nil is not.
	OnAdmin func(net.Addr)
	// Getenv reads the OTEL_* variables, as os.Getenv does. nil = there are none.
	Getenv func(string) string
}

// Provider is a running provider. Its methods may be called by many goroutines at once.
type Provider struct {
	*process.Process
	data    *hostdata.Data
	conn    *nats.Conn
	client  *wrpc.Client
	calls   *messaging.HandlerClient
	records *records.HandlerClient
	server  *wrpc.Server

	mu      sync.RWMutex
	links   map[lattice.LinkID]*lattice.Link // as they were put last; nil where that was rejected
	callers map[string]int                   // how many links let a component call
}

// Run joins the lattice that data names and serves it until the host shuts the provider down, ctx ends, or the
// process that started this one is gone. It returns nil after an end in order. Trouble with Kafka never ends it.
func Run(ctx context.Context, data *hostdata.Data, opts Options) (err error) {
	around := process.Start(process.Options{
		Log: opts.Logger, Config: data.Config, Secrets: data.Secrets, Hide: latticeSecrets(data),
		Host: data.OTel, Getenv: opts.Getenv,
		Identity: otlp.Identity{
			Version: version.Get().Version, InstanceID: data.InstanceID,
			Lattice: data.Lattice, ProviderKey: data.ProviderKey, HostID: data.HostID,
		},
	})
	defer around.Close()
	defer func() { err = around.Secrets.Err(err) }()
	if opts.ShutdownTimeout == 0 {
		opts.ShutdownTimeout = around.Own.ShutdownTimeout
	}
	inboxes, err := reply.New(around.Own.InboxPrefixes...)
	if err != nil {
		return fmt.Errorf("reading provider_inbox_prefixes: %w", err)
	}
	session, err := lattice.Connect(ctx, data, lattice.Options{
		Logger: around.Log, ShutdownTimeout: opts.ShutdownTimeout, IgnoreParent: opts.IgnoreParent, Inboxes: inboxes,
		Memory: around.Memory.Open("changes of links"), Fit: around.Secrets.Text,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	// Messages are taken at once, so some wait in front of a subscription of calls only where the process gets no time to
	// run.
	backlog := int(around.ProcessLimit.Part(16, 8<<20, 64<<20))
	client, err := wrpc.NewClient(session.Conn(), wrpc.ClientOptions{
		Logger: around.Log, Inboxes: inboxes, Refusals: session.OnRefusal,
		Memory: around.Memory.Open("results of components"), BacklogBytes: backlog,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeClient(client)) }()
	var p *Provider // there before there is anything to call
	server, err := wrpc.NewServer(session.Conn(), wrpc.ServerOptions{
		Prefix: data.Lattice + "." + data.ProviderKey, Inboxes: inboxes, Logger: around.Log,
		Source: func(h nats.Header) string { return p.callerOf(h) },
		Memory: around.Memory.Open("calls of components"), BacklogBytes: backlog,
	})
	if err != nil {
		return err
	}
	p = &Provider{
		Process: around, data: data, conn: session.Conn(), client: client, server: server,
		calls:   messaging.NewHandlerClient(client, data.Lattice, data.ProviderKey),
		records: records.NewHandlerClient(client, data.Lattice, data.ProviderKey),
		links:   make(map[lattice.LinkID]*lattice.Link),
		callers: make(map[string]int),
	}
	defer p.Serve(p, opts.OnAdmin)()
	if err := messaging.Register(server, p); err != nil {
		return fmt.Errorf("serving wasmcloud:messaging: %w", err)
	}
	if err := records.Register(server, p.recordsProducer()); err != nil {
		return fmt.Errorf("serving messaging-kafka:records: %w", err)
	}
	return session.Run(ctx, p)
}

// closeTimeout bounds the end of the wRPC client, whose calls have been given up by then.
const closeTimeout = time.Second

func closeClient(client *wrpc.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := client.Close(ctx); err != nil {
		return fmt.Errorf("closing the wRPC client: %w", err)
	}
	return nil
}

var (
	_ lattice.Handler      = (*Provider)(nil)
	_ lattice.ScaleWatcher = (*Provider)(nil)
)

// ComponentScaled implements lattice.ScaleWatcher.
func (p *Provider) ComponentScaled(component string) {
	p.client.Interrupted(p.data.Lattice + "." + component)
}

// HostStopped implements lattice.ScaleWatcher.
func (p *Provider) HostStopped() { p.client.Interrupted("") }

// UpdateConfig implements lattice.Handler: the defaults of links may have changed.
func (p *Provider) UpdateConfig(config map[string]string) {
	p.Configure(config)
	p.mu.RLock()
	links := maps.Clone(p.links)
	p.mu.RUnlock()
	for id, link := range links {
		if r := p.open(id); r != nil && link != nil {
			p.apply(r, link)
		}
	}
}

// Health implements lattice.Handler.
func (p *Provider) Health() lattice.Health {
	message := p.Process.Health(p.pressure())
	return lattice.Health{Healthy: message == "", Message: message}
}

// Shutdown implements lattice.Handler. Calls of components are served until no route reads any more: handlers that are
// being finished still publish.
func (p *Provider) Shutdown(ctx context.Context) {
	p.Routes.Stop(ctx)
	if err := p.server.Shutdown(ctx); err != nil {
		p.Log.Warn("calls of components were cut off by the shutdown", "error", err)
	}
	p.Flush(ctx) // the host may kill the process as soon as this is over
}
