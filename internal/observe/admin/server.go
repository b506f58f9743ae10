package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
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
	// AddressFrom is what gave the address, for errors; "" is the setting admin_address.
	AddressFrom string
	// Hosts are names under which it is asked, besides that in Address, localhost, and addresses as such. Requests for
	// others are refused.
	Hosts  []string
	Source Source
	// Gatherer gives what /metrics serves; without it there are no metrics.
	Gatherer prometheus.Gatherer
	// Controller carries out what operators ask who show one of Tokens; without one of the two nobody may act on links.
	Controller Controller
	Tokens     []settings.ControlToken
	Log        *slog.Logger
}

// Server is a running admin server.
type Server struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	history  history
	hosts    listen.Hosts
	asking   asking
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

const (
	// statusTimeout is how long a status may take. A provider that takes longer is stuck, which /healthz tells.
	statusTimeout = 2 * time.Second

	// headerTimeout bounds the time to the end of a request's header, the first byte included: who opens a connection
	// has something to ask.
	headerTimeout  = 2 * time.Second
	readTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeaderBytes = 16 << 10
	// restTimeout bounds the wait for the rest of a request's body that nobody reads. Its connection is none that
	// makes room for others meanwhile, so that it is as short as what a caller sends behind its header takes to be there.
	restTimeout = 250 * time.Millisecond
	// maxConnections bounds those that are open. maxRequests bounds the requests that are answered at once; those of
	// probes have places of their own, which last no longer than a status takes.
	maxConnections = 512
	maxRequests    = 16
)

// Start listens and serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", listen.Address(cfg.Address))
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", cmp.Or(cfg.AddressFrom, "admin_address"), err)
	}
	return start(cfg, listener), nil
}

func start(cfg Config, listener net.Listener) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, listener: listener, cancel: cancel, hosts: listen.NewHosts(cfg.Hosts, cfg.Address)}
	s.server = &http.Server{
		Handler: s.handler(), ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ConnContext: listen.Keep, ConnState: listen.State,
	}
	s.done.Go(func() {
		if err := s.server.Serve(listen.Limit(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("serving the admin address ended", "error", err)
		}
	})
	s.done.Go(func() { s.record(ctx) })
	return s
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
	answer := s.asking.ask(s.cfg.Source)
	select {
	case <-answer.there:
		return answer.status, nil
	case <-ctx.Done():
		return status.Provider{}, fmt.Errorf("the provider does not tell its status: %w", ctx.Err())
	}
}

// asking is the question for the status that is under way. Whoever asks meanwhile shares its answer, so that many who
// ask cost no more than one, and a source that is stuck holds one goroutine.
type asking struct {
	mu  sync.Mutex
	now *answer
}

// answer is a status that is there when there is closed.
type answer struct {
	there  chan struct{}
	status status.Provider
}

func (a *asking) ask(source Source) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now != nil {
		return a.now
	}
	one := &answer{there: make(chan struct{})}
	a.now = one
	// It ends when the source answers. Where it never does, the process is beyond help.
	go func() {
		one.status = source.Status(context.Background())
		a.mu.Lock()
		a.now = nil
		a.mu.Unlock()
		close(one.there)
	}()
	return one
}

// probes are what orchestrators ask. They must be answered whatever else is asked: who does not answer is killed.
var probes = map[string]bool{"/healthz": true, "/readyz": true}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	if s.cfg.Gatherer != nil {
		mux.Handle("/metrics", promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxRequests,
			EnableOpenMetrics: true,
		}))
	}
	mux.HandleFunc("/healthz", s.healthz)
	mux.HandleFunc("/readyz", s.readyz)
	mux.HandleFunc("/links", s.links)
	mux.HandleFunc("/history", s.serveHistory)
	mux.HandleFunc("/{$}", servePage)
	return s.guard(mux, s.controls())
}

// guard lets through what only reads, as much of it at once as is good, and sets the headers of every answer. What acts
// on links goes by controls, which is nil where nobody may.
func (s *Server) guard(next, controls http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer listen.Answering(r)()
		h := w.Header()
		if listen.Crowded(r) {
			h.Set("Connection", "close")
		}
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		acts := r.URL.Path == controlPath && controls != nil
		if !acts || r.Method != http.MethodPost {
			s.leaveBody(w, r)
		}
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case acts && r.Method != http.MethodPost:
			h.Set("Allow", http.MethodPost)
			http.Error(w, "an action is asked for by POST", http.StatusMethodNotAllowed)
			return
		case !acts && !reads:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this address is for reading only", http.StatusMethodNotAllowed)
			return
		}
		if !s.hosts.Allow(r.Host) {
			http.Error(w, "this address does not answer under that name: ask for it by its address, or name it in admin_hosts",
				http.StatusMisdirectedRequest)
			return
		}
		if acts {
			controls.ServeHTTP(w, r)
			return
		}
		if probes[r.URL.Path] {
			next.ServeHTTP(w, r)
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

// leaveBody has nobody wait for the rest of a request's body, which is not read. net/http does so before it closes the
// connection, as long as readTimeout lets it.
func (s *Server) leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(restTimeout)); err != nil {
		s.cfg.Log.Error("the deadline of a request cannot be set", "error", err)
	}
}
