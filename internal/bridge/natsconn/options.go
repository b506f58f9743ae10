package natsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/nats/refusal"
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

// Check connects once and makes a round trip, and says why that did not work. It also subscribes, to where answers
// would come in and to a subject of each pattern, in the queue group, on which nobody publishes: so it takes nothing
// from anybody. It returns which of them the server does not allow, by the patterns.
func Check(ctx context.Context, server settings.NATSServer, queue string, patterns ...string) (refused []string, err error) {
	options, err := optionsOf(&server, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	tried := map[string]string{nats.NewInbox() + ".*": inboxes + ">"}
	for _, pattern := range patterns {
		tried[unused(pattern)] = pattern
	}
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if r, is := refusal.Of(err); is && tried[r.Subject] != "" { // one call at a time, all of them before closed
			refused = append(refused, tried[r.Subject])
		}
	}))
	nc, err := nats.Connect(server.URLs, append(options, nats.NoReconnect(), nats.Name("messaging-kafka bridge check"),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		return nil, err
	}
	err = try(ctx, nc, queue, tried)
	nc.Close()
	<-closed
	slices.Sort(refused)
	return refused, err
}

// try subscribes, and returns when the server has said what it thinks of that.
func try(ctx context.Context, nc *nats.Conn, queue string, tried map[string]string) error {
	for subject, of := range tried {
		in := queue
		if strings.HasPrefix(of, inboxes) {
			in = ""
		}
		if _, err := nc.QueueSubscribe(subject, in, func(*nats.Msg) {}); err != nil {
			return fmt.Errorf("subscribing to %s: %w", of, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	return nil
}

// unused is a subject of a pattern that nobody has.
func unused(pattern string) string {
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" {
			tokens[i] = "messaging-kafka-check-" + nuid.Next()
		}
	}
	return strings.Join(tokens, ".")
}
