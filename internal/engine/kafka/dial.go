package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"
)

// keepAlive finds dead connections under idle consumers, which send too seldom to notice by themselves.
const keepAlive = 30 * time.Second

// Connector connects to an address as net.Dialer.DialContext does. It may be called by many goroutines at once.
type Connector func(ctx context.Context, network, addr string) (net.Conn, error)

// DialError is a failed attempt to connect to a broker: name, TCP or TLS.
type DialError struct {
	Addr string // "host:port"
	// Seed tells whether Addr is one of the bootstrap addresses. Any other address was advertised by a broker.
	Seed bool
	// TLS tells whether the TCP connection was there and the TLS handshake failed.
	TLS bool
	Err error
}

func (e *DialError) Error() string {
	doing := "connecting to "
	if e.TLS {
		doing = "making a TLS connection to "
	}
	return doing + e.Addr + ": " + e.Err.Error()
}

func (e *DialError) Unwrap() error { return e.Err }

// Dial is the dialer of all clients. The TLS configuration is taken at each call, which is what makes rotated
// certificates take effect.
func (a *Access) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return a.dial(ctx, network, addr, nil)
}

// DialTelling is [Access.Dial] for a member of a classic group.
func (a *Access) DialTelling(answered MembershipAnswer) Connector {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return a.dial(ctx, network, addr, answered)
	}
}

func (a *Access) dial(ctx context.Context, network, addr string, answered MembershipAnswer) (net.Conn, error) {
	// One bound for TCP and TLS together: a port that accepts and then says nothing must not hang.
	ctx, cancel := context.WithTimeout(ctx, a.dialTimeout())
	defer cancel()
	config, err := a.tlsConfig(addr)
	if err != nil {
		return nil, err
	}
	conn, err := a.connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tooLarge := func(err error) {
		a.health.large.Store(&largeAnswer{err, time.Now()})
		a.log.Warn("a connection to Kafka is given up", "error", err)
	}
	if config == nil {
		return bounded(conn, addr, tooLarge, answered), nil
	}
	secured, err := a.secure(ctx, conn, config, addr)
	if err != nil {
		_ = conn.Close() // the handshake's error is the one that matters
		return nil, err
	}
	return bounded(secured, addr, tooLarge, answered), nil
}

func (a *Access) dialError(addr string, inTLS bool, err error) error {
	return &DialError{Addr: addr, Seed: slices.Contains(a.seeds, addr), TLS: inTLS, Err: err}
}

// tlsConfig returns what a connection to addr is to be secured with, nil where connections are not encrypted.
func (a *Access) tlsConfig(addr string) (*tls.Config, error) {
	source := a.state.Load().tls
	if source == nil {
		return nil, nil
	}
	config, err := source.config()
	if err != nil {
		return nil, a.dialError(addr, true, err)
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, a.dialError(addr, true, err)
		}
		config.ServerName = host
	}
	return config, nil
}

func (a *Access) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := a.reach(ctx, network, addr)
	if err != nil {
		return nil, a.dialError(addr, false, err)
	}
	return conn, nil
}

// reach makes a TCP connection to whom it may be.
func (a *Access) reach(ctx context.Context, network, addr string) (net.Conn, error) {
	if a.connector != nil {
		return a.connector(ctx, network, addr)
	}
	return (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, network, addr)
}

func (a *Access) secure(ctx context.Context, conn net.Conn, config *tls.Config, addr string) (*tls.Conn, error) {
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, a.dialError(addr, true, err)
	}
	return secured, nil
}
