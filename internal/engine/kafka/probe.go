package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
)

// The methods here take the way to a broker step by step, as a client takes it at once, for whoever wants to say how
// far it goes. Their errors are for [Access.Explain].

// Resolve returns the addresses of a broker's host, one where the host is an address itself. addr is "host:port".
func (a *Access) Resolve(ctx context.Context, addr string) ([]netip.Addr, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, a.dialError(addr, false, err)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.dialTimeout())
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, a.dialError(addr, false, err)
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	return ips, nil
}

// Connect makes a TCP connection, which the caller closes.
func (a *Access) Connect(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, a.dialTimeout())
	defer cancel()
	return a.connect(ctx, "tcp", addr)
}

// Secure makes the TLS handshake on a connection to addr and returns what came of it, which is never nil without an
// error. It must not be called where the protocol does without TLS.
func (a *Access) Secure(ctx context.Context, conn net.Conn, addr string) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, a.dialTimeout())
	defer cancel()
	config, err := a.tlsConfig(addr)
	if err != nil {
		return nil, err
	}
	secured, err := a.secure(ctx, conn, config, addr)
	if err != nil {
		return nil, err
	}
	state := secured.ConnectionState()
	return &state, nil
}

// CertificateRemarks say what was decided about the certificates that connections use, as of when they were read last.
func (a *Access) CertificateRemarks() []CertificateRemark {
	source := a.state.Load().tls
	if source == nil {
		return nil
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	return slices.Clone(source.remarks)
}

// ClientCertificate returns the certificate that connections authenticate with, nil where there is none.
func (a *Access) ClientCertificate() (*x509.Certificate, error) {
	source := a.state.Load().tls
	if source == nil {
		return nil, nil
	}
	config, err := source.config()
	if err != nil || len(config.Certificates) == 0 {
		return nil, err
	}
	if leaf := config.Certificates[0].Leaf; leaf != nil {
		return leaf, nil
	}
	return x509.ParseCertificate(config.Certificates[0].Certificate[0])
}
