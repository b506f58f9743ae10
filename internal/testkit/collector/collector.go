package collector

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // which makes the server take compressed requests
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Options describe a collector.
type Options struct {
	GRPC bool // else HTTP
	TLS  bool
	// Token, if not empty, is what the header authorization must be.
	Token string
}

// Answer is what the collector answers to an export instead of taking it.
type Answer struct {
	// Status is the HTTP status, with Header and Body; over HTTP only.
	Status int
	Header http.Header
	Body   []byte
	// Err is the error of the gRPC method; over gRPC only.
	Err error
	// Hang leaves the export without an answer until the client gives it up, or the collector stops.
	Hang bool
}

// Collector is a collector on a port of 127.0.0.1. It stops when the test ends.
type Collector struct {
	t       testing.TB
	opts    Options
	url, ca string
	quit    chan struct{}

	mu      sync.Mutex
	answer  func(export int) *Answer // nil = take it
	exports int
	spans   []*traces.ResourceSpans
	metrics []*metrics.ResourceMetrics
	logs    []*logs.ResourceLogs
}

// New starts a collector.
func New(t testing.TB, opts Options) *Collector {
	t.Helper()
	c := &Collector{t: t, opts: opts, quit: make(chan struct{})}
	ts := httptest.NewUnstartedServer(c.mux())
	var cert *tls.Certificate
	if opts.TLS {
		ts.StartTLS()
		cert = &ts.TLS.Certificates[0]
		c.ca = filepath.Join(t.TempDir(), "collector-ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})
		if err := os.WriteFile(c.ca, block, 0o600); err != nil {
			t.Fatalf("writing the collector's certificate: %v", err)
		}
	} else {
		ts.Start()
	}
	t.Cleanup(ts.Close)
	c.url = ts.URL
	if opts.GRPC {
		c.serveGRPC(cert)
	}
	t.Cleanup(func() { close(c.quit) }) // before the servers are closed, which wait for their calls
	return c
}

func (c *Collector) serveGRPC(cert *tls.Certificate) {
	c.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatalf("listening: %v", err)
	}
	var opts []grpc.ServerOption
	c.url = "http://" + ln.Addr().String()
	if cert != nil {
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(cert)))
		c.url = "https://" + ln.Addr().String()
	}
	server := grpc.NewServer(opts...)
	tracepb.RegisterTraceServiceServer(server, traceService{c: c})
	metricspb.RegisterMetricsServiceServer(server, metricsService{c: c})
	logspb.RegisterLogsServiceServer(server, logsService{c: c})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			c.t.Errorf("serving gRPC: %v", err)
		}
	})
	c.t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
}

// URL is where it listens, without a path.
func (c *Collector) URL() string { return c.url }

// CAFile is the certificate to trust, in PEM; "" without TLS.
func (c *Collector) CAFile() string { return c.ca }

// Answer has the collector answer exports, which count from 1, with what f returns, and take those for which it
// returns nil. A nil f has it take all.
func (c *Collector) Answer(f func(export int) *Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// Exports is how many exports came, taken or not.
func (c *Collector) Exports() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exports
}

func (c *Collector) next() *Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exports++
	if c.answer == nil {
		return nil
	}
	return c.answer(c.exports)
}

func (c *Collector) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-c.quit:
	}
}

func (c *Collector) take(msg proto.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := msg.(type) {
	case *tracepb.ExportTraceServiceRequest:
		c.spans = append(c.spans, m.ResourceSpans...)
	case *metricspb.ExportMetricsServiceRequest:
		c.metrics = append(c.metrics, m.ResourceMetrics...)
	case *logspb.ExportLogsServiceRequest:
		c.logs = append(c.logs, m.ResourceLogs...)
	}
}

func (c *Collector) mux() http.Handler {
	mux := http.NewServeMux()
	for path, request := range map[string]func() proto.Message{
		"POST /v1/traces":  func() proto.Message { return new(tracepb.ExportTraceServiceRequest) },
		"POST /v1/metrics": func() proto.Message { return new(metricspb.ExportMetricsServiceRequest) },
		"POST /v1/logs":    func() proto.Message { return new(logspb.ExportLogsServiceRequest) },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { c.serveHTTP(w, r, request()) })
	}
	return mux
}

func (c *Collector) serveHTTP(w http.ResponseWriter, r *http.Request, msg proto.Message) {
	if a := c.next(); a != nil {
		if a.Hang {
			c.hang(r.Context())
			return
		}
		maps.Copy(w.Header(), a.Header)
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body)
		return
	}
	if c.opts.Token != "" && r.Header.Get("Authorization") != c.opts.Token {
		http.Error(w, "no token", http.StatusUnauthorized)
		return
	}
	if err := decode(r, msg); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.take(msg)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func decode(r *http.Request, msg proto.Message) error {
	if kind := r.Header.Get("Content-Type"); kind != "application/x-protobuf" {
		return fmt.Errorf("content type %q", kind)
	}
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return proto.Unmarshal(b, msg)
}

func (c *Collector) serveCall(ctx context.Context, msg proto.Message) error {
	if a := c.next(); a != nil {
		if a.Hang {
			c.hang(ctx)
			return ctx.Err()
		}
		return a.Err
	}
	if c.opts.Token != "" {
		md, _ := metadata.FromIncomingContext(ctx)
		if !slices.Contains(md.Get("authorization"), c.opts.Token) {
			return errors.New("no token")
		}
	}
	c.take(msg)
	return nil
}

type traceService struct {
	tracepb.UnimplementedTraceServiceServer
	c *Collector
}

func (s traceService) Export(ctx context.Context,
	m *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	return &tracepb.ExportTraceServiceResponse{}, s.c.serveCall(ctx, m)
}

type metricsService struct {
	metricspb.UnimplementedMetricsServiceServer
	c *Collector
}

func (s metricsService) Export(ctx context.Context,
	m *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	return &metricspb.ExportMetricsServiceResponse{}, s.c.serveCall(ctx, m)
}

type logsService struct {
	logspb.UnimplementedLogsServiceServer
	c *Collector
}

func (s logsService) Export(ctx context.Context, m *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse,
	error) {
	return &logspb.ExportLogsServiceResponse{}, s.c.serveCall(ctx, m)
}

// Spans are all spans that came so far.
func (c *Collector) Spans() []*traces.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*traces.Span
	for _, rs := range c.spans {
		for _, ss := range rs.ScopeSpans {
			list = append(list, ss.Spans...)
		}
	}
	return list
}

// WaitSpans waits until at least n spans have come.
func (c *Collector) WaitSpans(n int) []*traces.Span {
	c.t.Helper()
	var list []*traces.Span
	testkit.Eventually(c.t, testkit.DefaultTimeout, func() error {
		if list = c.Spans(); len(list) < n {
			return fmt.Errorf("%d spans came, want %d", len(list), n)
		}
		return nil
	})
	return list
}

// ResourceMetrics are all exports of metrics that came so far.
func (c *Collector) ResourceMetrics() []*metrics.ResourceMetrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.metrics)
}

// WaitMetric waits until a metric of that name comes, and returns the last of them.
func (c *Collector) WaitMetric(name string) *metrics.Metric {
	c.t.Helper()
	var found *metrics.Metric
	testkit.Eventually(c.t, testkit.DefaultTimeout, func() error {
		for _, rm := range c.ResourceMetrics() {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					if m.Name == name {
						found = m
					}
				}
			}
		}
		if found == nil {
			return fmt.Errorf("no metric %s came", name)
		}
		return nil
	})
	return found
}

// ResourceLogs are all exports of logs that came so far.
func (c *Collector) ResourceLogs() []*logs.ResourceLogs {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.logs)
}

// WaitLog waits until a log line with that text comes, and returns the first of them.
func (c *Collector) WaitLog(text string) *logs.LogRecord {
	c.t.Helper()
	var found *logs.LogRecord
	testkit.Eventually(c.t, testkit.DefaultTimeout, func() error {
		for _, rl := range c.ResourceLogs() {
			for _, sl := range rl.ScopeLogs {
				for _, l := range sl.LogRecords {
					if l.Body.GetStringValue() == text {
						found = l
						return nil
					}
				}
			}
		}
		return fmt.Errorf("no log line %q came", text)
	})
	return found
}

// Attributes are attributes by their key; texts, whole numbers and truth values come as what they are, the rest as
// protobuf's text.
func Attributes(list []*commonpb.KeyValue) map[string]any {
	m := make(map[string]any, len(list))
	for _, kv := range list {
		switch v := kv.Value.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[kv.Key] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			m[kv.Key] = v.BoolValue
		default:
			m[kv.Key] = kv.Value.String()
		}
	}
	return m
}

// Dead returns the URL of a collector that takes connections and never answers.
func Dead(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	var conns sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
		for _, conn := range open {
			conn.Close()
		}
	})
	return "http://" + ln.Addr().String()
}

// Patience is how long a test lets an export go on that is to fail.
const Patience = 50 * time.Millisecond
