package testkit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// HTTPApp stands for a program that serves HTTP: it listens on a port that stays the same, and can be killed.
type HTTPApp struct {
	t       testing.TB
	addr    string
	handler http.Handler

	mu      sync.Mutex
	server  *http.Server // nil while it does not run
	cancel  context.CancelFunc
	served  chan struct{}
	running sync.WaitGroup // handlers
}

// NewHTTPApp starts a stand-in for a program that serves HTTP, in clear by HTTP/1.1 and by HTTP/2 without an upgrade,
// and stops it when the test ends. The requests' contexts end with it.
func NewHTTPApp(t testing.TB, handler http.Handler) *HTTPApp {
	t.Helper()
	a := &HTTPApp{t: t, handler: handler}
	t.Cleanup(a.Kill)
	a.Start()
	return a
}

// URL is where the program is asked.
func (a *HTTPApp) URL() string { return "http://" + a.addr }

// Start starts the program after [HTTPApp.Kill], on the same port.
func (a *HTTPApp) Start() {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil {
		return
	}
	address := a.addr
	if address == "" {
		address = "127.0.0.1:0"
	}
	var ln net.Listener
	Eventually(a.t, DefaultTimeout, func() (err error) {
		ln, err = net.Listen("tcp", address)
		return err
	})
	a.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.served = cancel, make(chan struct{})
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve), ReadHeaderTimeout: DefaultTimeout, Protocols: new(http.Protocols),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	a.server.Protocols.SetHTTP1(true)
	a.server.Protocols.SetUnencryptedHTTP2(true)
	go func(server *http.Server, served chan struct{}) {
		defer close(served)
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.t.Errorf("serving the application: %v", err)
		}
	}(a.server, a.served)
}

func (a *HTTPApp) serve(w http.ResponseWriter, r *http.Request) {
	a.running.Add(1)
	defer a.running.Done()
	a.handler.ServeHTTP(w, r)
}

// Kill ends the program at once: nobody listens any more, and what was under way gets no answer. It waits until the
// handlers have returned, whose contexts have ended.
func (a *HTTPApp) Kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return
	}
	_ = a.server.Close() // its error is that of a listener which is closed
	<-a.served
	a.cancel() // after the connections are gone: an answer of a handler that gives up goes nowhere
	a.running.Wait()
	a.server = nil
}
