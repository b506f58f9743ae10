package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
)

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 80 * time.Second
	// pingAfter and pingTimeout bound how long a connection over HTTP/2 is taken for alive whose other end is gone. With
	// gRPC it is the kernel that notices, by pingTimeout without an acknowledgement: nothing is pinged between exports,
	// which servers would not stand for.
	pingAfter   = 30 * time.Second
	pingTimeout = 10 * time.Second
	// firstWait and longestWait bound the pauses between the repeats of an export.
	firstWait   = 500 * time.Millisecond
	longestWait = 5 * time.Second
)

// OpenTelemetry's exporters read OTEL_EXPORTER_OTLP_* variables themselves. All that these say is in the target
// already, after what is stronger, and every option is given, so that nothing is left to them.

// newSpanExporter makes OpenTelemetry's exporter on a wire. It connects to nothing yet.
func newSpanExporter(ctx context.Context, o *outlet, w *wire) (exporter sdktrace.SpanExporter, err error) {
	to := o.to
	if w.conn != nil {
		exporter, err = otlptracegrpc.New(ctx, otlptracegrpc.WithGRPCConn(w.conn), otlptracegrpc.WithHeaders(to.headers()),
			otlptracegrpc.WithTimeout(to.timeout), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig(to.retry())))
	} else {
		exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithHTTPClient(w.client),
			otlptracehttp.WithEndpointURL(to.url.String()),
			otlptracehttp.WithHeaders(to.headers()), otlptracehttp.WithCompression(otlptracehttp.Compression(to.compression())),
			otlptracehttp.WithTimeout(to.timeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig(to.retry())))
	}
	return spanExporter{exporter, o, w}, err
}

func newMetricExporter(ctx context.Context, o *outlet, w *wire) (exporter sdkmetric.Exporter, err error) {
	to := o.to
	if w.conn != nil {
		exporter, err = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithGRPCConn(w.conn), otlpmetricgrpc.WithHeaders(to.headers()),
			otlpmetricgrpc.WithTimeout(to.timeout), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig(to.retry())))
	} else {
		exporter, err = otlpmetrichttp.New(ctx, otlpmetrichttp.WithHTTPClient(w.client),
			otlpmetrichttp.WithEndpointURL(to.url.String()),
			otlpmetrichttp.WithHeaders(to.headers()),
			otlpmetrichttp.WithCompression(otlpmetrichttp.Compression(to.compression())),
			otlpmetrichttp.WithTimeout(to.timeout), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig(to.retry())))
	}
	return metricExporter{exporter, o, w}, err
}

func newLogExporter(ctx context.Context, o *outlet, w *wire) (exporter sdklog.Exporter, err error) {
	to := o.to
	if w.conn != nil {
		exporter, err = otlploggrpc.New(ctx, otlploggrpc.WithGRPCConn(w.conn), otlploggrpc.WithHeaders(to.headers()),
			otlploggrpc.WithTimeout(to.timeout), otlploggrpc.WithRetry(otlploggrpc.RetryConfig(to.retry())))
	} else {
		exporter, err = otlploghttp.New(ctx, otlploghttp.WithHTTPClient(w.client),
			otlploghttp.WithEndpointURL(to.url.String()),
			otlploghttp.WithHeaders(to.headers()), otlploghttp.WithCompression(otlploghttp.Compression(to.compression())),
			otlploghttp.WithTimeout(to.timeout), otlploghttp.WithRetry(otlploghttp.RetryConfig(to.retry())))
	}
	return logExporter{exporter, o, w}, err
}

// wire is what one signal is sent over: one of the two.
type wire struct {
	conn   *grpc.ClientConn
	client *http.Client
}

func (t *target) wire(agent string, log *slog.Logger) (*wire, error) {
	var w wire
	var err error
	if t.grpc {
		w.conn, err = t.connection(agent, log)
	} else {
		w.client, err = t.client(log)
	}
	return &w, err
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close() // fails where it is closed already
		return
	}
	w.client.CloseIdleConnections()
}

// connection makes the connection of one signal over gRPC.
func (t *target) connection(agent string, log *slog.Logger) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if t.url.Scheme == "https" {
		config, err := t.tls.config(log)
		if err != nil {
			return nil, err
		}
		security = credentials.NewTLS(config)
	}
	opts := []grpc.DialOption{grpc.WithTransportCredentials(security), grpc.WithUserAgent(agent),
		grpc.WithIdleTimeout(idleTimeout),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout})}
	if t.gzip {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	conn, err := grpc.NewClient(t.address(), opts...)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", t.address(), err)
	}
	return conn, nil
}

// client makes the HTTP client of one signal.
func (t *target) client(log *slog.Logger) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		// A signal is exported by one goroutine at a time; a flush may come in between.
		MaxIdleConnsPerHost: 2,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if t.url.Scheme == "https" {
		var err error
		if transport.TLSClientConfig, err = t.tls.config(log); err != nil {
			return nil, err
		}
	}
	return &http.Client{
		Transport: transport,
		Timeout:   t.timeout,
		// Headers with tokens must not follow a redirect to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// retry has the shape of the exporters' RetryConfig.
type retry struct {
	Enabled         bool
	InitialInterval time.Duration
	MaxInterval     time.Duration
	MaxElapsedTime  time.Duration
}

func (t *target) retry() retry {
	return retry{Enabled: true, InitialInterval: firstWait, MaxInterval: longestWait, MaxElapsedTime: t.timeout}
}

// compression is the number that all exporters have for gzip, or that for none.
func (t *target) compression() int {
	if t.gzip {
		return int(otlptracehttp.GzipCompression)
	}
	return int(otlptracehttp.NoCompression)
}

// spanExporter hands on what OpenTelemetry's queue of spans gives, and keeps account of it.
type spanExporter struct {
	sdktrace.SpanExporter
	*outlet
	wire *wire
}

// ExportSpans implements sdktrace.SpanExporter.
func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.export(ctx, len(spans), func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (e spanExporter) Shutdown(ctx context.Context) error {
	e.close(ctx, e.SpanExporter.Shutdown, e.wire.close)
	return nil
}

// metricExporter does the same for metrics.
type metricExporter struct {
	sdkmetric.Exporter
	*outlet
	wire *wire
}

// Export implements sdkmetric.Exporter.
func (e metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	items := 0
	for i := range data.ScopeMetrics {
		items += len(data.ScopeMetrics[i].Metrics)
	}
	e.export(ctx, items, func(ctx context.Context) error { return e.Exporter.Export(ctx, data) })
	return nil
}

// Shutdown implements sdkmetric.Exporter.
func (e metricExporter) Shutdown(ctx context.Context) error {
	e.close(ctx, e.Exporter.Shutdown, e.wire.close)
	return nil
}

// logExporter does the same for log lines.
type logExporter struct {
	sdklog.Exporter
	*outlet
	wire *wire
}

// Export implements sdklog.Exporter.
func (e logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	e.export(ctx, len(records), func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
	return nil
}

// Shutdown implements sdklog.Exporter.
func (e logExporter) Shutdown(ctx context.Context) error {
	e.close(ctx, e.Exporter.Shutdown, e.wire.close)
	return nil
}
