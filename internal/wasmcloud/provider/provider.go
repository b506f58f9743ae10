// Package provider is the capability provider itself: it joins the lattice, keeps one unit of work for each link,
// and passes calls between components and Kafka.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
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
	data    *hostdata.Data
	log     *slog.Logger
	secrets *redact.Redactor // of the provider and its links; for all that others say
	metrics *telemetry.Metrics
	export  *otlp.Export
	client  *wrpc.Client
	calls   *messaging.HandlerClient
	records *records.HandlerClient
	server  *wrpc.Server
	routes  *route.Set

	mu      sync.RWMutex
	config  map[string]string                // the provider's own, as of the last update
	links   map[lattice.LinkID]*lattice.Link // as they were put last; nil where that was rejected
	callers map[string]int                   // how many links let a component call
	trouble error                            // what is wrong with the provider's own config
}

// Run joins the lattice that data names and serves it until the host shuts the provider down, ctx ends, or the
// process that started this one is gone. It returns nil after an end in order. Trouble with Kafka never ends it.
func Run(ctx context.Context, data *hostdata.Data, opts Options) (err error) {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	secrets := new(redact.Redactor)
	secrets.Add(ownSecrets(data, opts.Getenv)...)
	defer func() { err = secrets.Err(err) }()
	metrics := telemetry.NewMetrics()
	export := startExport(data, opts.Getenv, metrics, secrets.Logger(log))
	defer endExport(export)
	log, endLog := telemetry.Limit(export.Logger(log))
	defer endLog()
	log = secrets.Logger(log)
	own, warnings, trouble := settings.ParseProvider(data.Config, data.Secrets)
	for _, w := range warnings {
		log.Warn("provider config: "+w.Text, "setting", w.Key)
	}
	if trouble != nil {
		log.Error("provider config: the defaults are used instead", "error", trouble)
	}
	if opts.ShutdownTimeout == 0 {
		opts.ShutdownTimeout = own.ShutdownTimeout
	}
	lid := memory.FindLid(own.MaxMemory)
	budget := lid.Budget()
	defer lid.Set()()
	log.Info("the memory of the process is bounded", "bytes", lid.Bytes, "from", lid.From, "budget", budget.Status().Limit)
	inboxes, err := reply.New(own.InboxPrefixes...)
	if err != nil {
		return fmt.Errorf("reading provider_inbox_prefixes: %w", err)
	}
	session, err := lattice.Connect(ctx, data, lattice.Options{
		Logger: log, ShutdownTimeout: opts.ShutdownTimeout, IgnoreParent: opts.IgnoreParent, Inboxes: inboxes,
		Memory: budget.Open("changes of links"),
		Fit:    secrets.Text,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	client, err := wrpc.NewClient(session.Conn(), wrpc.ClientOptions{
		Logger: log, Inboxes: inboxes, Refusals: session.OnRefusal,
		Memory: budget.Open("results of components"), BacklogBytes: backlog(lid),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeClient(client)) }()
	var p *Provider // there before there is anything to call
	server, err := wrpc.NewServer(session.Conn(), wrpc.ServerOptions{
		Prefix: data.Lattice + "." + data.ProviderKey, Inboxes: inboxes, Logger: log,
		Source: func(h nats.Header) string { return p.callerOf(h) },
		Memory: budget.Open("calls of components"), BacklogBytes: backlog(lid),
	})
	if err != nil {
		return err
	}

	p = &Provider{
		data: data, log: log, secrets: secrets, metrics: metrics, export: export,
		client:  client,
		calls:   messaging.NewHandlerClient(client, data.Lattice, data.ProviderKey),
		records: records.NewHandlerClient(client, data.Lattice, data.ProviderKey),
		server:  server,
		config:  data.Config, trouble: trouble,
		links:   make(map[lattice.LinkID]*lattice.Link),
		callers: make(map[string]int),
		routes: route.NewSet(route.Options{
			Log: log, Metrics: metrics, Secrets: secrets, Memory: budget, Lid: lid,
			Tracer:  tracing.New(export.TracerProvider(), version.Get().Version).Fit(secrets.Value, secrets.Text),
			Limiter: semaphore.NewWeighted(int64(own.MaxInFlight)),
			Process: []string{data.HostID, data.ProviderKey},
		}),
	}
	defer p.routes.Close()
	metrics.Ask(func() telemetry.Snapshot { return p.snapshot(session.Conn()) })
	stopAdmin, err := p.serveAdmin(own.AdminAddress, own.AdminHosts, opts.OnAdmin)
	if err != nil {
		// An address that is taken must not keep records from flowing.
		log.Error("the admin address cannot be served", "error", err)
		p.trouble = errors.Join(p.trouble, err)
	}
	defer stopAdmin()
	if err := messaging.Register(server, p); err != nil {
		return fmt.Errorf("serving wasmcloud:messaging: %w", err)
	}
	if err := records.Register(server, p.recordsProducer()); err != nil {
		return fmt.Errorf("serving messaging-kafka:records: %w", err)
	}
	return session.Run(ctx, p)
}

// backlog is what may wait in front of each subscription of calls. Whatever comes is taken at once, so something waits
// only where the process gets no time to run.
func backlog(lid memory.Lid) int { return int(lid.Part(16, 8<<20, 64<<20)) }

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
	p.secrets.Add(settings.SecretValues(config, nil)...) // what stood there before may still come back
	_, warnings, err := settings.ParseProvider(config, p.data.Secrets)
	for _, w := range warnings {
		p.log.Warn("provider config: "+w.Text, "setting", w.Key)
	}
	if err != nil {
		p.log.Error("provider config", "error", err)
	}
	p.mu.Lock()
	p.config, p.trouble = config, err
	links := maps.Clone(p.links)
	p.mu.Unlock()
	for id, link := range links {
		if r := p.open(id); r != nil && link != nil {
			p.apply(r, link)
		}
	}
}

// Health implements lattice.Handler.
func (p *Provider) Health() lattice.Health {
	texts := append(p.ownProblems().Texts(), p.routes.Problems().Texts()...)
	return lattice.Health{Healthy: len(texts) == 0, Message: strings.Join(texts, "; ")}
}

// Shutdown implements lattice.Handler. Calls of components are served until no route reads any more: handlers that are
// being finished still publish.
func (p *Provider) Shutdown(ctx context.Context) {
	p.routes.Stop(ctx)
	if err := p.server.Shutdown(ctx); err != nil {
		p.log.Warn("calls of components were cut off by the shutdown", "error", err)
	}
	// The host may kill the process as soon as this is over.
	flush, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	p.export.Flush(flush)
}
