package process

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options are what a process needs at its start.
type Options struct {
	// Log is where the log goes; nil is nowhere.
	Log *slog.Logger
	// Config and Secrets are the process's own: its settings (provider_…), the defaults of links, and OTEL_* variables.
	Config  map[string]string
	Secrets map[string]settings.Secret
	// Hide are secrets besides these, which nothing may tell.
	Hide []string
	// Identity tells this copy of the program from all others.
	Identity otlp.Identity
	// Copy tells copies with one identity on one machine apart, and is the same after a restart; "" where there is one.
	Copy string
	// Words are what routes are called in what is told.
	Words status.Words
	// Host is what a host says of OpenTelemetry. Getenv reads the OTEL_* variables, as os.Getenv does; nil = there are
	// none.
	Host   otlp.HostConfig
	Getenv func(string) string
}

// Process surrounds routes. Its methods may be called by many goroutines at once.
type Process struct {
	// Log is for all that is to be told; no secret gets through it.
	Log *slog.Logger
	// Secrets are taken out of all that others say.
	Secrets *redact.Redactor
	// Own are the process's own settings as of the start: some of them cannot change later.
	Own settings.Provider
	// ProcessLimit bounds the memory of the process, and Memory what comes from others; nil where there is no limit.
	ProcessLimit memory.ProcessLimit
	Memory       *memory.Budget
	Routes       *route.Set

	identity otlp.Identity
	words    status.Words
	secrets  map[string]settings.Secret
	metrics  *telemetry.Metrics
	export   *otlp.Export
	ends     []func() // in the order in which they are called
	pauses   pauseFile
	controls *semaphore.Weighted // actions of operators that are carried out
	looks    *semaphore.Weighted // those of them that read records

	mu        sync.RWMutex
	config    map[string]string // as of the last change
	configErr error             // what is wrong with it
	unseen    error             // why the admin address is not served
}

// exportTimeout bounds what the end waits for telemetry to get away: a collector that does not answer must hold up
// neither a host nor an operator.
const exportTimeout = time.Second

// Start makes what surrounds routes. Nothing of it fails: the log and health say what is wrong.
func Start(o Options) *Process {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Process{
		Secrets: new(redact.Redactor), identity: o.Identity, words: o.Words, secrets: o.Secrets,
		metrics: telemetry.NewMetrics(),
		config:  o.Config, controls: semaphore.NewWeighted(maxControls), looks: semaphore.NewWeighted(maxLooks),
	}
	p.Secrets.Add(settings.SecretValues(o.Config, o.Secrets)...)
	p.Secrets.Add(settings.SecretValues(exportVariables(o.Getenv), nil)...)
	p.Secrets.Add(o.Hide...)
	p.export = otlp.Start(otlp.Options{
		Sources:  otlp.Sources{Secrets: o.Secrets, Config: o.Config, Host: o.Host, Getenv: o.Getenv},
		Identity: o.Identity, Metrics: p.metrics.Registry, Count: p.metrics.Exported, Log: p.Secrets.Logger(o.Log),
	})
	log, endLog := telemetry.Limit(p.export.Logger(o.Log))
	p.Log = p.Secrets.Logger(log)
	p.Own, p.configErr = p.parse(o.Config)
	if p.configErr != nil {
		p.Log.Error(p.words.Pick("provider config", "settings of the process")+": the defaults are used instead",
			"error", p.configErr)
	}
	p.ProcessLimit = memory.FindProcessLimit(p.Own.MaxMemory)
	p.Memory = p.ProcessLimit.Budget()
	unbind := p.ProcessLimit.Set()
	p.Log.Info("the memory of the process is bounded", "bytes", p.ProcessLimit.Bytes, "given_by", p.ProcessLimit.From,
		"budget", p.Memory.Status().Limit)
	p.Routes = route.NewSet(route.Options{
		Log: p.Log, Metrics: p.metrics, Secrets: p.Secrets, Memory: p.Memory, ProcessLimit: p.ProcessLimit, Words: o.Words,
		Resident: memory.Resident,
		Tracer:   tracing.New(p.export.TracerProvider(), o.Identity.Version).Fit(p.Secrets.Value, p.Secrets.Text),
		Limiter:  semaphore.NewWeighted(int64(p.Own.MaxInFlight)),
		Process:  processOf(&o),
	})
	if err := p.pauses.open(p.Own.PausesFile, p.Routes); err != nil {
		p.Log.Error("what is paused is not known: all that was paused is read", "error", err)
	}
	p.ends = []func(){p.Routes.Close, unbind, endLog, p.endExport}
	return p
}

// processOf tells this copy of the program from all others, and is the same after a restart.
func processOf(o *Options) []string {
	parts := []string{o.Identity.HostID, o.Identity.ProviderKey}
	if o.Copy != "" {
		parts = append(parts, o.Copy)
	}
	return parts
}

// exportVariables are those of the environment that may hold secrets of collectors.
func exportVariables(getenv func(string) string) map[string]string {
	values := make(map[string]string)
	if getenv == nil {
		return values
	}
	for _, signal := range []string{"", "_TRACES", "_METRICS", "_LOGS"} {
		for _, what := range []string{"_HEADERS", "_ENDPOINT"} {
			key := "OTEL_EXPORTER_OTLP" + signal + what
			values[key] = getenv(key)
		}
	}
	return values
}

// parse reads the process's own settings.
func (p *Process) parse(config map[string]string) (settings.Provider, error) {
	own, warnings, err := settings.ParseProvider(config, p.secrets)
	for _, w := range warnings {
		p.Log.Warn(p.words.Pick("provider config: ", "settings of the process: ")+w.Text, "setting", w.Key)
	}
	return own, err
}

// Configure takes over a change of the process's own config, for links whose settings are read from now on.
func (p *Process) Configure(config map[string]string) {
	p.Secrets.Add(settings.SecretValues(config, nil)...) // what stood there before may still come back
	_, err := p.parse(config)
	if err != nil {
		p.Log.Error("provider config", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config, p.configErr = config, err
}

// Defaults are the config and the secrets of the process, in which links find what they do not say themselves.
func (p *Process) Defaults() (config map[string]string, secrets map[string]settings.Secret) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.config, p.secrets
}

// Problems are what is wrong with the process and no route's: with its config, and what the front-end finds besides.
func (p *Process) Problems(found status.Problems) status.Problems {
	p.mu.RLock()
	trouble, unseen := p.configErr, p.unseen
	p.mu.RUnlock()
	trouble = errors.Join(trouble, p.pauses.trouble())
	var list status.Problems
	if err := errors.Join(trouble, unseen); err != nil {
		list.Add(status.ProblemConfig, p.words.Pick("provider config: ", "settings of the process: ")+err.Error())
	}
	list = append(list, found...)
	for i := range list {
		list[i].Text = p.Secrets.Text(list[i].Text)
	}
	return list
}

// Health says in words what is wrong with the process and its routes, "" where nothing is. found is what the front-end
// finds.
func (p *Process) Health(found status.Problems) string {
	return strings.Join(append(p.Problems(found).Texts(), p.Routes.Problems().Texts()...), "; ")
}

// Status tells how the process and its routes are. found is what the front-end finds.
func (p *Process) Status(found status.Problems) status.Provider {
	return p.Routes.Status(status.Provider{
		Version: p.identity.Version, ProviderKey: p.identity.ProviderKey, Lattice: p.identity.Lattice,
		HostID: p.identity.HostID, Words: p.words,
		InstanceID: p.identity.InstanceID, Problems: p.Problems(found),
	})
}

// Requests counts what callers ask of the process over HTTP.
func (p *Process) Requests() telemetry.Requests { return p.metrics.Requests() }

// Flush has telemetry sent that waits, as long as ctx and [exportTimeout] let it.
func (p *Process) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	p.export.Flush(ctx)
}

func (p *Process) endExport() {
	ctx, cancel := context.WithTimeout(context.Background(), exportTimeout)
	defer cancel()
	p.export.Shutdown(ctx)
}

// Close ends what surrounds the routes, which have been stopped.
func (p *Process) Close() {
	for _, end := range p.ends {
		end()
	}
}
