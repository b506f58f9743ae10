package httpin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
)

// Server is a running server.
type Server struct {
	o        Options
	listener net.Listener
	server   *http.Server
	callers  atomic.Pointer[callers]
	// exchanging is held while others take the place of the callers.
	exchanging sync.Mutex
	hosts      listen.Hosts
	origins    *http.CrossOriginProtection
	loopback   bool
	gate       gate
	done       sync.WaitGroup
	fault      atomic.Pointer[error] // why it serves no more
}

// Times and sizes. Only maxCall, which bounds what a request does, is anything that a caller who means well may see.
const (
	// maxCall bounds every request.
	maxCall = 10 * time.Minute
	// headerTimeout is for a request's header, the first byte included; bodyTimeout for the whole body.
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second
	// refusalTimeout is for the rest of a request that has been refused.
	refusalTimeout = time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	// Of HTTP/2: what a connection may have under way, and what is taken of bodies that nobody reads yet.
	maxStreams   = 128
	connWindow   = 256 << 10
	streamWindow = 128 << 10
	pingAfter    = 30 * time.Second
)

// Start listens and serves until [Server.Stop].
func Start(o Options) (*Server, error) { return start(o, listenOn) }

// Successor starts a server that takes the place of s, which is still to be retired. Where both have the same address,
// they listen side by side until then, so that no connection is refused.
func (s *Server) Successor(o Options) (*Server, error) {
	return start(o, func(address string) (net.Listener, error) {
		before, ok := s.listener.(*net.TCPListener)
		if address != s.o.Address || !ok || s.fault.Load() != nil {
			return listenOn(address)
		}
		file, err := before.File()
		if err != nil {
			return nil, err
		}
		taken, err := net.FileListener(file)
		if closed := file.Close(); err == nil && closed != nil { // the listener has one of its own
			return nil, errors.Join(closed, taken.Close())
		}
		return taken, err
	})
}

func listenOn(address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", address)
}

func start(o Options, listen func(address string) (net.Listener, error)) (*Server, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	if s.listener, err = listen(s.o.Address); err != nil {
		s.forget()
		return nil, fmt.Errorf("listening: %w", err)
	}
	if !s.loopback && s.o.TLS == nil && s.o.Anyone == nil {
		s.o.Log.Warn("tokens and records are sent in clear: set listen_tls_cert_file, or have a proxy in front that does TLS", "address", s.o.Address)
	}
	s.done.Go(s.serve)
	return s, nil
}

// Check says why [Start] would refuse options, without listening; nil is that it would not.
func Check(o Options) error {
	s, err := newServer(o)
	if err == nil {
		s.forget()
	}
	return err
}

func newServer(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	var certificates *tls.Config
	if o.TLS != nil {
		var err error
		if certificates, err = o.TLS.config(o.Log); err != nil {
			return nil, err
		}
	}
	s := &Server{o: o, hosts: listen.NewHosts(o.Hosts, o.Address), origins: http.NewCrossOriginProtection(), loopback: isLoopback(o.Address)}
	if err := s.SetCallers(o.Callers, o.Anyone); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.answer), ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		TLSConfig: certificates, Protocols: protocols, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: maxCall + writeTimeout,
		MaxHeaderBytes: maxHeaderBytes, ConnContext: listen.Keep, ConnState: listen.State,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: connWindow, MaxReceiveBufferPerStream: streamWindow,
			SendPingTimeout: pingAfter, PingTimeout: headerTimeout, WriteByteTimeout: writeTimeout,
		},
	}
	return s, nil
}

// SetCallers exchanges who may ask. Requests that run go on.
func (s *Server) SetCallers(list []Caller, anyone *Caller) error {
	if anyone != nil && !s.o.Open && !s.loopback {
		return fmt.Errorf("listen: others reach %s, and requests would need no token", s.o.Address)
	}
	all, err := newCallers(list, anyone)
	if err != nil {
		return err
	}
	s.exchanging.Lock()
	defer s.exchanging.Unlock()
	for _, account := range all.takeOver(s.callers.Load(), s.o.Memory) {
		account.Close()
	}
	s.callers.Store(all)
	return nil
}

// forget closes what callers have of memory.
func (s *Server) forget() {
	for _, one := range s.callers.Load().each() {
		one.memory.Close()
	}
}

func (s *Server) serve() {
	limited := listen.Limit(s.listener, s.o.MaxConnections)
	var err error
	if s.server.TLSConfig != nil {
		err = s.server.ServeTLS(limited, "", "")
	} else {
		err = s.server.Serve(limited)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.o.Log.Error("serving HTTP ended", "error", err)
		s.fault.Store(&err)
	}
}

// Addr is the address on which the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Fault says why the server serves no more, nil where it does or has been stopped.
func (s *Server) Fault() error {
	if err := s.fault.Load(); err != nil {
		return fmt.Errorf("serving HTTP on %s: %w", s.o.Address, *err)
	}
	return nil
}

// Retire ends a server within ctx whose place another has taken: what comes by its connections is answered until they
// can be closed. What runs when ctx ends is cut off, which Retire waits for.
func (s *Server) Retire(ctx context.Context) { s.end(s.server.Shutdown(ctx)) }

// Stop ends the server within ctx: requests that run are answered, those that come are refused until these are, and
// then nothing is listened to any more. What runs when ctx ends is cut off, which Stop waits for.
func (s *Server) Stop(ctx context.Context) {
	s.gate.close()
	err := s.gate.wait(ctx)
	if err == nil {
		err = s.server.Shutdown(ctx)
	}
	s.end(err)
}

// end waits for the end of a server, whose connections are cut off where it has not ended in order.
func (s *Server) end(err error) {
	if err != nil {
		s.o.Log.Warn("requests over HTTP were cut off by the stop", "error", err)
		_ = s.server.Close() // the connections are cut, which is all that is wanted
	}
	s.done.Wait()
	_ = s.gate.wait(context.Background()) // requests end with their connections
	s.forget()
}
