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
	o       Options
	server  *http.Server
	where   sync.Mutex    // guards at, leaving and over
	at      *listen.Conns // what is listened on
	leaving *listen.Conns // what is closed on purpose
	over    chan struct{} // closed when at is closed and what it has accepted is known
	shared  bool          // another server listens on the same socket; used by who retires it alone
	callers atomic.Pointer[callers]
	// exchanging is held while others take the place of the callers.
	exchanging sync.Mutex
	hosts      listen.Hosts
	origins    *http.CrossOriginProtection
	loopback   bool
	gate       gate
	done       sync.WaitGroup
	fault      atomic.Pointer[error] // why it serves no more
	retiring   atomic.Bool           // connections end with the next answer
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

// Start listens and serves until [Server.Stop]. Its error is [Fault] where a setting is to be blamed.
func Start(o Options) (*Server, error) { return start(o, listenOn) }

func start(o Options, listen func(address string) (net.Listener, error)) (*Server, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	at, err := listen(s.o.Address)
	if err != nil {
		s.forget()
		return nil, &Fault{listenSetting, fmt.Errorf("cannot be listened on: %w", err)}
	}
	if !s.loopback && s.o.TLS == nil && s.o.Anyone == nil {
		s.o.Log.Warn("tokens and records are sent in clear: set listen_tls_cert_file, or have a proxy in front that does TLS", "address", s.o.Address)
	}
	s.serve(at)
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
		return s.o.tooOpen()
	}
	all, err := newCallers(list, anyone)
	if err != nil {
		return &Fault{callersSetting, err}
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

// serve serves what comes at a listener until that is closed.
func (s *Server) serve(l net.Listener) {
	at, over := listen.Limit(l, s.o.MaxConnections), make(chan struct{})
	s.where.Lock()
	s.at, s.over = at, over
	s.where.Unlock()
	s.done.Go(func() {
		defer close(over)
		var err error
		if s.o.TLS != nil { // the server makes a TLSConfig of its own at its first listener
			err = s.server.ServeTLS(at, "", "")
		} else {
			err = s.server.Serve(at)
		}
		if errors.Is(err, http.ErrServerClosed) || s.left(at) {
			return
		}
		s.o.Log.Error("serving HTTP ended", "error", err)
		s.fault.Store(&err)
	})
}

// leave closes what is listened on, and returns when all that it has accepted is known to it.
func (s *Server) leave(at *listen.Conns) error {
	s.where.Lock()
	s.leaving = at
	over := s.over
	s.where.Unlock()
	err := at.Close()
	<-over
	return err
}

// left tells whether a listener was closed on purpose.
func (s *Server) left(at *listen.Conns) bool {
	s.where.Lock()
	defer s.where.Unlock()
	return s.leaving == at
}

// listening is what is listened on, or was last.
func (s *Server) listening() *listen.Conns {
	s.where.Lock()
	defer s.where.Unlock()
	return s.at
}

// Addr is the address on which the server listens.
func (s *Server) Addr() net.Addr { return s.listening().Addr() }

// Fault says why the server serves no more, nil where it does or has been stopped.
func (s *Server) Fault() error {
	if err := s.fault.Load(); err != nil {
		return fmt.Errorf("serving HTTP on %s: %w", s.o.Address, *err)
	}
	return nil
}

// lastTimeout is how long a connection is kept for one more request whose server is to end. A request that comes just
// when an idle connection is closed is lost, and one that has been read when [http.Server.Shutdown] begins, too;
// whoever asks often enough learns by an answer that the connection ends.
const lastTimeout = 2 * time.Second

// Retire ends a server within ctx whose place another has taken: what has come is answered, and each connection is
// closed behind an answer. What runs when ctx ends is cut off, which Retire waits for.
func (s *Server) Retire(ctx context.Context) {
	at := s.listening()
	if mine, ok := at.Listener.(*net.TCPListener); ok && !s.shared && !s.left(at) {
		acceptLast(mine)
	}
	s.retiring.Store(true)
	_ = s.leave(at) // nobody is left who would hear that it is closed already
	last, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	at.Ended(last)
	s.end(s.server.Shutdown(ctx))
}

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
