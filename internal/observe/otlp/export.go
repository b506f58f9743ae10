package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// serviceName is service.name unless somebody gives another.
const serviceName = "messaging-kafka"

// Identity says who sends. Empty texts are left out.
type Identity struct {
	Version, InstanceID          string
	Lattice, ProviderKey, HostID string
}

// Options are what an export needs.
type Options struct {
	Sources  Sources
	Identity Identity
	// Metrics is where metrics come from. Its Gather must return soon, whatever state the provider is in.
	Metrics prometheus.Gatherer
	// Count hears what became of items of a signal: result is "sent" or "lost". It is called from several goroutines.
	Count func(signal, result string, items int)
	// Log gets what the export has to say of itself. It must not lead into the export.
	Log *slog.Logger
}

// Export is a running export. All methods may be called on nil, which is an export of nothing, and by many goroutines
// at once.
type Export struct {
	resource *resource.Resource
	version  string
	spans    *sdktrace.TracerProvider // nil = off, as logs
	logs     *sdklog.LoggerProvider
	log      *slog.Logger
	all      []provider // of the signals that are on
	outlets  []*outlet

	shutdown sync.Once
}

// provider is what OpenTelemetry has for each signal.
type provider interface {
	ForceFlush(context.Context) error
	Shutdown(context.Context) error
}

// Start begins to export what the sources ask for. It returns nil where that is nothing. The log says what is wrong
// with them, which does not keep the provider from its work. It connects to nothing yet. The export runs until
// [Export.Shutdown].
func Start(opts Options) *Export {
	p, problems := opts.Sources.read()
	e := &Export{resource: newResource(opts.Identity, p.resource), version: opts.Identity.Version, log: opts.Log}
	for _, sig := range signals {
		to := p.targets[sig]
		if to == nil {
			continue
		}
		o := newOutlet(to, newReporter(sig, opts.Log, opts.Count))
		if err := e.start(sig, o, &p, opts.Metrics); err != nil {
			problems = append(problems, fmt.Errorf("%s are not sent: %w", sig, err))
			continue
		}
		e.outlets = append(e.outlets, o)
		// The user and the query of the URL may be secret, so they are left out.
		opts.Log.Info("telemetry is sent to an OpenTelemetry collector", "signal", sig.String(),
			"scheme", to.url.Scheme, "collector", to.url.Host, "grpc", to.grpc)
	}
	for _, problem := range problems {
		opts.Log.Error("telemetry is not set up as its settings ask", "error", problem)
	}
	if len(e.outlets) == 0 {
		return nil
	}
	// The SDK has one handler for all of the process, and nobody else here uses the SDK.
	otel.SetErrorHandler(&sdkErrors{log: opts.Log})
	return e
}

func newResource(id Identity, said []attribute.KeyValue) *resource.Resource {
	attrs := []attribute.KeyValue{
		semconv.ServiceName(serviceName),
		semconv.TelemetrySDKName("opentelemetry"),
		semconv.TelemetrySDKLanguageGo,
	}
	for _, a := range []attribute.KeyValue{
		semconv.ServiceVersion(id.Version),
		semconv.ServiceInstanceID(id.InstanceID),
		attribute.String("wasmcloud.lattice", id.Lattice),
		attribute.String("wasmcloud.provider.id", id.ProviderKey),
		attribute.String("wasmcloud.host.id", id.HostID),
	} {
		if a.Value.AsString() != "" {
			attrs = append(attrs, a)
		}
	}
	// The last of two values for a key counts.
	return resource.NewWithAttributes(semconv.SchemaURL, append(attrs, said...)...)
}

func (e *Export) start(sig signal, o *outlet, p *plan, from prometheus.Gatherer) error {
	ctx := context.Background() // nothing is waited for here
	w, err := o.to.wire(serviceName+"/"+e.version, e.log)
	if err != nil {
		return err
	}
	switch sig {
	case traces:
		exporter, err := newSpanExporter(ctx, o, w)
		if err != nil {
			return err
		}
		e.spans = sdktrace.NewTracerProvider(
			sdktrace.WithResource(e.resource),
			sdktrace.WithSampler(p.sampler),
			sdktrace.WithBatcher(exporter,
				sdktrace.WithMaxQueueSize(p.spans.size),
				sdktrace.WithMaxExportBatchSize(p.spans.batch),
				sdktrace.WithBatchTimeout(p.spans.delay),
				sdktrace.WithExportTimeout(o.to.timeout),
			),
		)
		e.all = append(e.all, e.spans)
	case metrics:
		exporter, err := newMetricExporter(ctx, o, w)
		if err != nil {
			return err
		}
		// The metrics keep the names that they have in the registry.
		e.all = append(e.all, sdkmetric.NewMeterProvider(
			sdkmetric.WithResource(e.resource),
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter,
				sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(from))),
				sdkmetric.WithInterval(p.interval),
				sdkmetric.WithTimeout(o.to.timeout),
			)),
		))
	case logs:
		exporter, err := newLogExporter(ctx, o, w)
		if err != nil {
			return err
		}
		e.logs = sdklog.NewLoggerProvider(
			sdklog.WithResource(e.resource),
			sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter,
				sdklog.WithMaxQueueSize(p.logs.size),
				sdklog.WithExportMaxBatchSize(p.logs.batch),
				sdklog.WithExportInterval(p.logs.delay),
				sdklog.WithExportTimeout(o.to.timeout),
			)),
		)
		e.all = append(e.all, e.logs)
	}
	return nil
}

// TracerProvider returns what makes spans, nil where traces are off.
func (e *Export) TracerProvider() trace.TracerProvider {
	if e == nil || e.spans == nil {
		return nil
	}
	return e.spans
}

// Logger returns a log that goes where base goes and, where logs are on, to the collector as well: the same lines, at
// the same level.
func (e *Export) Logger(base *slog.Logger) *slog.Logger {
	if e == nil || e.logs == nil {
		return base
	}
	bridge := otelslog.NewHandler(serviceName, otelslog.WithLoggerProvider(e.logs), otelslog.WithVersion(e.version))
	return slog.New(slog.NewMultiHandler(base.Handler(), atLevelOf{level: base.Handler(), Handler: utf8Only{bridge}}))
}

// Flush sends what waits, and metrics as they are now, and returns when that is done or ctx ends. The export itself
// reports sooner or later what was lost.
func (e *Export) Flush(ctx context.Context) {
	if e == nil {
		return
	}
	e.each(func(p provider) { _ = p.ForceFlush(ctx) }) // ctx's error, or none: see outlet.export
}

// Shutdown sends what waits and ends the export. It returns when that is done or soon after ctx ends, and nothing of
// the export runs then. Calls after the first do nothing.
func (e *Export) Shutdown(ctx context.Context) {
	if e == nil {
		return
	}
	e.shutdown.Do(func() {
		for _, o := range e.outlets {
			// OpenTelemetry's queues stop to wait when ctx ends, but go on to send. This makes them fail.
			defer context.AfterFunc(ctx, o.cut)()
		}
		e.each(func(p provider) { _ = p.Shutdown(ctx) })
		for _, o := range e.outlets {
			<-o.ended // closing it is the last thing that each queue does
		}
	})
}

// each does something with all providers, side by side.
func (e *Export) each(do func(provider)) {
	var all sync.WaitGroup
	for _, p := range e.all {
		all.Go(func() { do(p) })
	}
	all.Wait()
}
