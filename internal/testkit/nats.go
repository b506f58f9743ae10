package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATSOptions say what kind of nats-server a test wants. The zero value is a plain one.
type NATSOptions struct {
	// JetStream gives the server a store below the test's temporary folder, which survives [NATSServer.Restart].
	JetStream bool
	// MaxPayload is the largest message in bytes, headers included; 0 is NATS's own default of 1 MiB.
	MaxPayload int32
	// Configure, if not nil, may change the server's options, for instance to ask for credentials or TLS.
	Configure func(*server.Options)
}

// NATSServer is a nats-server inside the test's process.
type NATSServer struct {
	t    testing.TB
	opts *server.Options

	mu  sync.Mutex
	srv *server.Server // nil while stopped
}

// NATS starts a nats-server on a free port of 127.0.0.1 and stops it when the test ends.
func NATS(t testing.TB, opts NATSOptions) *NATSServer {
	t.Helper()
	o := &server.Options{
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT,
		MaxPayload: opts.MaxPayload,
		NoSigs:     true,
		NoLog:      true,
	}
	if opts.JetStream {
		o.JetStream, o.StoreDir = true, t.TempDir()
	}
	if opts.Configure != nil {
		opts.Configure(o)
	}
	n := &NATSServer{t: t, opts: o}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// ServeTLS has a server show a certificate and, where clients is not nil, ask for one of theirs.
func ServeTLS(o *server.Options, pair tls.Certificate, clients *x509.CertPool) {
	o.TLS, o.TLSTimeout = true, DefaultTimeout.Seconds()
	o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clients != nil {
		o.TLSVerify = true
		o.TLSConfig.ClientAuth, o.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
}

// NATSAt stands for a nats-server that runs elsewhere, such as in a process of its own whose CPU time is to be told
// from the test's. It can be connected to; what needs the server itself cannot be asked of it.
func NATSAt(t testing.TB, host string, port int) *NATSServer {
	return &NATSServer{t: t, opts: &server.Options{Host: host, Port: port}}
}

// Start starts the server again after [NATSServer.Stop], on the same port.
func (n *NATSServer) Start() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv != nil {
		n.t.Fatal("starting a nats-server that runs")
	}
	srv, err := server.NewServer(n.opts.Clone())
	if err != nil {
		n.t.Fatalf("starting a nats-server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(DefaultTimeout) {
		srv.Shutdown()
		srv.WaitForShutdown()
		n.t.Fatal("the nats-server takes no connections")
	}
	// From now on the port is fixed, so that clients find the server again.
	n.opts.Port = srv.Addr().(*net.TCPAddr).Port
	n.srv = srv
}

// Stop cuts all connections and waits until the server is gone.
func (n *NATSServer) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv == nil {
		return
	}
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
	n.srv = nil
}

// Restart stops the server and starts it on the same port.
func (n *NATSServer) Restart() {
	n.t.Helper()
	n.Stop()
	n.Start()
}

// Server returns the running server, or nil while it is stopped.
func (n *NATSServer) Server() *server.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.srv
}

// Addr is the server's "host:port".
func (n *NATSServer) Addr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return net.JoinHostPort(n.opts.Host, strconv.Itoa(n.opts.Port))
}

// URL is the server's address for clients.
func (n *NATSServer) URL() string { return "nats://" + n.Addr() }

// Connect returns a connection that reconnects without end and is closed when the test ends.
func (n *NATSServer) Connect(opts ...nats.Option) *nats.Conn {
	n.t.Helper()
	nc, closed, err := connect(n.URL(), opts...)
	if err != nil {
		n.t.Fatalf("connecting to the nats-server: %v", err)
	}
	n.t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// connect returns a connection and a channel that is closed once the connection is and its callbacks are through.
func connect(url string, opts ...nats.Option) (*nats.Conn, <-chan struct{}, error) {
	closed := make(chan struct{})
	all := append([]nats.Option{
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0),
		nats.Timeout(DefaultTimeout),
	}, opts...)
	nc, err := nats.Connect(url, append(all, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	return nc, closed, err
}

// WaitInterest waits until somebody subscribes to subject, and fails the test when nobody does.
func (n *NATSServer) WaitInterest(subject string) {
	n.t.Helper()
	n.waitInterest(subject, true)
}

// WaitNoInterest waits until nobody subscribes to subject any more.
func (n *NATSServer) WaitNoInterest(subject string) {
	n.t.Helper()
	n.waitInterest(subject, false)
}

func (n *NATSServer) waitInterest(subject string, want bool) {
	n.t.Helper()
	Eventually(n.t, DefaultTimeout, func() error {
		srv := n.Server()
		if srv == nil {
			return errors.New("the nats-server is stopped")
		}
		if srv.GlobalAccount().SubscriptionInterest(subject) != want {
			return fmt.Errorf("interest in %s is %t", subject, !want)
		}
		return nil
	})
}
