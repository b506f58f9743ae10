package provider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin serves metrics and health over HTTP.
type admin struct {
	server *http.Server
	done   sync.WaitGroup
}

const (
	adminHeaderTimeout = 5 * time.Second
	adminCloseTimeout  = 100 * time.Millisecond
)

// serveAdmin serves /metrics and /healthz at address; nothing where that is empty.
func (p *Provider) serveAdmin(address string) (*admin, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on admin_address: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		h := p.Health()
		if !h.Healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, h.Message)
			return
		}
		fmt.Fprintln(w, "healthy")
	})
	a := &admin{server: &http.Server{Handler: mux, ReadHeaderTimeout: adminHeaderTimeout}}
	a.done.Go(func() {
		if err := a.server.Serve(listener); err != http.ErrServerClosed {
			p.log.Error("serving the admin address ended", "error", err)
		}
	})
	p.log.Info("serving metrics and health", "address", listener.Addr().String())
	return a, nil
}

func (a *admin) close() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close()
	}
	a.done.Wait()
}
