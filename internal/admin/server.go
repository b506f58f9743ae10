// Package admin serves what operators look at over HTTP: metrics, probes, the state of every link, its last fifteen
// minutes, and a page that shows all of it. Whoever reaches its address may read it, and only read it: there is no
// authentication, and nothing that changes anything.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"messaging-kafka/internal/status"
)

// Source is what is served.
type Source interface {
	// Status is a snapshot. It is called by many goroutines at once, at least every [HistoryInterval], and returns
	// soon.
	Status(ctx context.Context) status.Provider
}

// Config is what a [Server] needs.
type Config struct {
	// Address is host:port, :port or port. Without a host it is the loopback's: whoever wants others to read says so.
	Address string
	Source  Source
	// Gatherer gives what /metrics serves.
	Gatherer prometheus.Gatherer
	Log      *slog.Logger
}

// Server is a running admin server.
type Server struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	history  history
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

const (
	// statusTimeout is how long a status may take. A provider that takes longer is stuck, which /healthz tells.
	statusTimeout = 2 * time.Second

	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
	// maxConnections bounds those that are open, maxRequests those that are answered at once.
	maxConnections = 64
	maxRequests    = 16
)

// Start listens and serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", withHost(cfg.Address))
	if err != nil {
		return nil, fmt.Errorf("listening on admin_address: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, listener: listener, cancel: cancel}
	s.server = &http.Server{
		Handler: s.handler(), ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
	}
	s.done.Go(func() {
		if err := s.server.Serve(limit(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("serving the admin address ended", "error", err)
		}
	})
	s.done.Go(func() { s.record(ctx) })
	return s, nil
}

// withHost puts the loopback where an address has no host.
func withHost(address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = ":" + address
	}
	if strings.HasPrefix(address, ":") {
		return "127.0.0.1" + address
	}
	return address
}

// Addr is the address on which the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close stops serving and waits until nothing of the server is left. Answers that are under way have until ctx ends.
// It may be called on a nil Server.
func (s *Server) Close(ctx context.Context) {
	if s == nil {
		return
	}
	s.cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // the connections are cut, which is all that is wanted
	}
	s.done.Wait()
}

// status asks the source, and does not wait for one that is stuck.
func (s *Server) status(ctx context.Context) (status.Provider, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answer := make(chan status.Provider, 1)
	// The goroutine ends when the source answers. Where it never does, the process is beyond help, and maxRequests
	// bounds how many wait.
	go func() { answer <- s.cfg.Source.Status(ctx) }()
	select {
	case p := <-answer:
		return p, nil
	case <-ctx.Done():
		return status.Provider{}, fmt.Errorf("the provider does not tell its status: %w", ctx.Err())
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxRequests, EnableOpenMetrics: true,
	}))
	mux.HandleFunc("/healthz", s.healthz)
	mux.HandleFunc("/readyz", s.readyz)
	mux.HandleFunc("/links", s.links)
	mux.HandleFunc("/history", s.serveHistory)
	mux.HandleFunc("/{$}", servePage)
	return s.guard(mux)
}

// guard lets through what only reads, as much of it at once as is good, and sets the headers of every answer.
func (s *Server) guard(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this address is for reading only", http.StatusMethodNotAllowed)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			h.Set("Retry-After", "1")
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}
