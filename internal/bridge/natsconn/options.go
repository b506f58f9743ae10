package natsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// An attempt to connect and a ping must fail soon, since nothing else notices that the way to the server is gone.
	dialTimeout  = 2 * time.Second
	pingInterval = 10 * time.Second
	maxPingsOut  = 2
)

// optionsOf are what says how to connect, and as whom. No error of it has a secret.
func optionsOf(s *settings.NATSServer, log *slog.Logger) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Timeout(dialTimeout), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPingsOut), nats.NoEcho(),
		// A server decides by itself whether it wants TLS. nats.Secure would ask it of all.
		func(o *nats.Options) error {
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			return nil
		},
	}
	if s.TLSCAFile != "" {
		options = append(options, rootsFrom(s.TLSCAFile, log))
	}
	if s.TLSCertFile != "" {
		options = append(options, certificateFrom(s.TLSCertFile, s.TLSKeyFile))
	}
	switch {
	case !s.Creds.Empty():
		options = append(options, nats.UserCredentialBytes([]byte(s.Creds.Reveal())))
	case !s.Seed.Empty():
		pair, err := nkeys.FromSeed([]byte(s.Seed.Reveal()))
		if err != nil {
			return nil, errors.New("nats_nkey is no seed of an nkey")
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("reading nats_nkey: %w", err)
		}
		options = append(options, nats.Nkey(public, pair.Sign))
	case !s.Token.Empty():
		options = append(options, nats.Token(s.Token.Reveal()))
	case s.User != "":
		options = append(options, nats.UserInfo(s.User, s.Password.Reveal()))
	}
	return options, nil
}

// rootsFrom has TLS asked of every server, under the authorities in a file, which is read for each connection.
func rootsFrom(path string, log *slog.Logger) nats.Option {
	return func(o *nats.Options) error {
		o.RootCAsCB = func() (*x509.CertPool, error) {
			certs, err := pemtext.LoadCertificates(path)
			if err != nil {
				return nil, fmt.Errorf("reading nats_tls_ca_file: %w", err)
			}
			return certs.Pool(log.With("setting", "nats_tls_ca_file")), nil
		}
		o.Secure = true
		_, err := o.RootCAsCB()
		return err
	}
}

// certificateFrom shows a certificate to every server. Its files are read for each connection.
func certificateFrom(certPath, keyPath string) nats.Option {
	return func(o *nats.Options) error {
		o.TLSCertCB = func() (tls.Certificate, error) {
			pair, err := pemtext.LoadPair(certPath, keyPath)
			if err != nil {
				return tls.Certificate{}, fmt.Errorf("reading nats_tls_cert_file and nats_tls_key_file: %w", err)
			}
			return *pair, nil
		}
		o.Secure = true
		_, err := o.TLSCertCB()
		return err
	}
}

// LeftOut are the numbers of the certificates in nats_tls_ca_file that cannot be read: no server is known by them.
func LeftOut(server *settings.NATSServer) []int {
	if server.TLSCAFile == "" {
		return nil
	}
	certs, err := pemtext.LoadCertificates(server.TLSCAFile)
	if err != nil {
		return nil // which Check tells
	}
	return certs.Skipped
}

// Check connects once and makes a round trip, and says why that did not work.
func Check(ctx context.Context, server settings.NATSServer) error {
	options, err := optionsOf(&server, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	nc, err := nats.Connect(server.URLs, append(options, nats.NoReconnect(), nats.Name("messaging-kafka bridge check"),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		return err
	}
	defer func() {
		nc.Close()
		<-closed
	}()
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	return nil
}
