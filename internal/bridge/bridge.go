package bridge

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpin"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/process"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options are what a bridge needs besides its file.
type Options struct {
	// Path is that of the file.
	Path string
	Log  *slog.Logger
	// Lookup finds variables of the environment, as os.LookupEnv does.
	Lookup func(name string) (string, bool)
	// Reload has the file read again, changed or not; nil is never.
	Reload <-chan os.Signal
	// Once has the bridge end by itself when the lag of the groups of all routes is 0 and nothing is in flight. Patience
	// is how long it waits while nothing moves; 0 is [DefaultPatience].
	Once     bool
	Patience time.Duration
	// OnAdmin is called with the address on which the admin address is served, OnListen with the one on which callers
	// are; nil is not.
	OnAdmin, OnListen func(net.Addr)
}

// Bridge is a running bridge. Its methods may be called by many goroutines at once.
type Bridge struct {
	*process.Process
	o    Options
	host string
	seen config.Seen
	nats *natsconn.Pool
	// retiring are servers whose place another has taken.
	retiring sync.WaitGroup
	// life ends with the time that the stop has.
	life   context.Context
	cutOff context.CancelFunc

	mu      sync.RWMutex
	server  *httpin.Server // nil where nobody is served
	config  *config.Config // as it is carried out
	trouble error          // why that is not what the file says
	// listeners are those of the routes that take messages of NATS.
	listeners map[string]*listener
	// credentials are what routes show, by where.
	credentials map[destination]*credentials
	known       []func() // take secrets above the routes back, those of the last two files
}

// shutdownTimeout is how long a bridge may take to end where its file does not say. Orchestrators give half a minute.
const shutdownTimeout = 10 * time.Second

// Run carries out the routes of a file until ctx ends. It returns nil after an end in order, and [config.Errors] where
// the file cannot be used.
func Run(ctx context.Context, o Options) (err error) {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for the name of the machine: %w", err)
	}
	b := &Bridge{o: o, host: host}
	b.life, b.cutOff = context.WithCancel(context.Background())
	defer b.cutOff()
	read, err := b.read()
	if err != nil {
		return err
	}
	around := process.Start(process.Options{
		Log: o.Log, Config: read.Own, Secrets: read.OwnSecrets, Hide: read.Hide, Words: status.OfRoutes, Copy: copyOf(read),
		Getenv: func(name string) string {
			value, _ := o.Lookup(name)
			return value
		},
		Identity: otlp.Identity{
			Version: version.Get().Version, InstanceID: rand.Text(), ProviderKey: read.Name, HostID: host,
		},
	})
	defer around.Close()
	defer func() { err = around.Secrets.Err(err) }()
	b.Process = around
	b.nats = natsconn.NewPool(read.Name, around.Log)
	next, err := credentialsOf(read)
	if err != nil {
		return err
	}
	if b.server, err = b.listen(read, nil); err != nil {
		return err
	}
	b.show(next)
	b.apply(read)
	if b.server != nil {
		b.announce(b.server)
	}
	defer b.Serve(b, o.OnAdmin)()
	watching, stopWatching := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { b.watch(watching) })
	if o.Once {
		err = b.drain(ctx)
	} else {
		<-ctx.Done()
	}
	stopWatching()
	watch.Wait()
	b.stop()
	return err
}

// copyOf tells copies of a bridge on one machine apart: no two of them listen on one address. It is the same after a
// restart.
func copyOf(c *config.Config) string { return c.Own["admin_address"] + " " + c.Listen.Address }

// stop ends the bridge in order: no route reads any more and what is with applications is finished, which may publish;
// then callers are answered and no more served, and then the routes end.
func (b *Bridge) stop() {
	timeout := shutdownTimeoutOf(b.current())
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	b.Log.Info("the bridge ends", "within", timeout)
	b.Routes.StopWith(ctx, func() {
		b.stopListening(ctx)
		b.stopNATS(ctx)
	})
	b.Flush(ctx)
}

// shutdownTimeoutOf is how long a bridge may take to end.
func shutdownTimeoutOf(c *config.Config) time.Duration {
	if _, said := c.Own["provider_shutdown_timeout"]; said {
		if own, _, err := settings.ParseProvider(c.Own, c.OwnSecrets); err == nil {
			return own.ShutdownTimeout
		}
	}
	return shutdownTimeout
}

// apply has the routes do what a file says. Those that it does not change go on.
func (b *Bridge) apply(now *config.Config) {
	for _, w := range append(contradictions(now, b.Memory), now.Warnings...) {
		b.Log.Warn(w.Text, "setting", w.Key, "line", w.Line)
	}
	b.mu.Lock()
	before := b.config
	b.config = now
	b.known = append(b.known, b.Secrets.Add(now.Hide...))
	const kept = 2 // connections that have the secrets of the file before may be answered yet
	for ; len(b.known) > kept; b.known = b.known[1:] {
		b.known[0]()
	}
	b.mu.Unlock()
	wanted := make(map[route.ID]bool)
	for _, r := range now.Routes {
		for _, part := range b.parts(now.Name, r) {
			wanted[part.id] = true
			if opened := b.Routes.Open(part.id, part.label); opened != nil {
				opened.Hide(r.Hide)
				opened.Apply(part.wanted)
			}
		}
	}
	b.listenNATS(now)
	if before == nil {
		return
	}
	for _, r := range before.Routes {
		for _, part := range b.parts(before.Name, r) {
			if !wanted[part.id] {
				b.Routes.Drop(part.id)
			}
		}
	}
}

// Status implements admin.Source.
func (b *Bridge) Status(context.Context) status.Provider { return b.Process.Status(b.problems()) }

// Snapshot implements process.FrontEnd.
func (b *Bridge) Snapshot() telemetry.Snapshot {
	s := b.Routes.Snapshot()
	s.Healthy = b.Health(b.problems()) == ""
	return s
}
