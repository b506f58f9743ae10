package lattice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

const (
	// A connect attempt and a ping must fail soon, since nothing else notices that the way to the server is gone.
	dialTimeout  = 2 * time.Second
	pingInterval = 10 * time.Second
	maxPingsOut  = 3
)

// connecting is the wait before the lattice is tried again.
var connecting = backoff.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}

// Connect connects to the lattice that data names. Where it cannot, it tries again until it can or ctx ends: a
// provider that exits is merely started again by its host. It fails at once where data cannot be right: no usable
// lattice or provider id, a URL, credentials or keys that cannot be read. ctx is for connecting alone.
func Connect(ctx context.Context, data *hostdata.Data, options Options) (*Session, error) {
	s := &Session{data: data, options: options.withDefaults(), closed: make(chan struct{})}
	s.log = s.options.Logger
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("connecting to the lattice: %w", err)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ShutdownTimeout <= 0 {
		o.ShutdownTimeout = DefaultShutdownTimeout
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	if o.maxChanges <= 0 {
		o.maxChanges = maxChanges
	}
	o.parent = o.parent.withDefaults()
	return o
}

func (s *Session) connect(ctx context.Context) error {
	if err := checkToken("lattice name", s.data.Lattice); err != nil {
		return err
	}
	if err := checkToken("provider id", s.data.ProviderKey); err != nil {
		return err
	}
	var err error
	if s.opener, err = newOpener(s.data); err != nil {
		return err
	}
	options, err := s.natsOptions()
	if err != nil {
		return err
	}
	address := s.data.LatticeURL
	if address == "" {
		address = nats.DefaultURL
	}

	ctx, cancel := s.options.watchParent(ctx)
	defer cancel()
	lastFailure := ""
	for failures := 1; ; failures++ {
		if s.nc, err = nats.Connect(address, options...); err == nil {
			s.log.Info("connected to the lattice", "url", redact.URLs(s.nc.ConnectedUrl()), "lattice", s.data.Lattice,
				"provider", s.data.ProviderKey)
			return nil
		}
		if _, ok := errors.AsType[*url.Error](err); ok {
			return errors.New("the lattice URL cannot be read") // its own text may hold a password
		}
		level := slog.LevelDebug
		if failure := err.Error(); failure != lastFailure {
			level, lastFailure = slog.LevelWarn, failure
		}
		s.log.Log(ctx, level, "lattice is out of reach, trying again", "url", redact.URLs(address), "error", err)
		if !backoff.Sleep(ctx, connecting.Spread(failures)) {
			return fmt.Errorf("%w; the last attempt: %w", context.Cause(ctx), err)
		}
	}
}

func (s *Session) natsOptions() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("messaging-kafka " + s.data.ProviderKey),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.NoEcho(),

		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		// A server that refuses us twice may accept us later, when its operator has put right what was wrong.
		nats.IgnoreAuthErrorAbort(),
		// Nothing is kept for later while disconnected. An accept, a result or a call that leaves seconds late comes
		// to somebody who has given up, and a call would be made twice.
		nats.ReconnectBufSize(-1),

		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we closed it
				s.log.Warn("lattice connection lost, reconnecting", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.problems.forgetRefusals()
			s.log.Warn("lattice connection is back; link and config changes made meanwhile are lost",
				"url", redact.URLs(nc.ConnectedUrl()))
		}),
		nats.ErrorHandler(s.onAsyncError),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }),
		s.withTLS(),
	}
	credentials, err := s.credentials()
	if err != nil {
		return nil, err
	}
	if credentials != nil {
		options = append(options, credentials)
	}
	return options, nil
}

// credentials is the option by which the server's nonce is signed, or nil where the lattice asks for no user.
func (s *Session) credentials() (nats.Option, error) {
	jwt, seed := s.data.LatticeUserJWT.Reveal(), s.data.LatticeUserSeed.Reveal()
	if jwt == "" && seed == "" {
		return nil, nil
	}
	if seed == "" {
		return nil, errors.New("the host gave a user JWT (lattice_rpc_user_jwt) but no seed to sign with " +
			"(lattice_rpc_user_seed)")
	}
	kp, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, errors.New("the host's lattice_rpc_user_seed is no nkey seed")
	}
	if jwt != "" {
		return nats.UserJWT(func() (string, error) { return jwt, nil }, kp.Sign), nil
	}
	public, err := kp.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("reading the host's lattice_rpc_user_seed: %w", err)
	}
	return nats.Nkey(public, kp.Sign), nil
}

// withTLS prepares for a server that demands TLS. The host data cannot ask for TLS, so the server decides: nats.go
// upgrades the connection when it must. nats.RootCAs would demand TLS of every server, hence the option by hand.
func (s *Session) withTLS() nats.Option {
	return func(o *nats.Options) error {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		o.RootCAsCB = s.roots
		return nil
	}
}

// roots are the system's and those files of otel_config.additional_ca_paths that exist. The paths come from the
// host's --tls-ca-path, the one way in which a private CA reaches a provider; its environment is cleared. They are
// read at every TLS handshake and so may be renewed.
func (s *Session) roots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		s.log.Warn("the system's CA certificates cannot be read", "error", err)
		pool = x509.NewCertPool()
	}
	for _, path := range s.data.OTel.AdditionalCAPaths {
		certs, err := pemtext.LoadCertificates(path)
		if err != nil {
			s.log.Warn("an additional CA file cannot be read", "error", err)
			continue
		}
		certs.AddTo(pool, s.log.With("file", path))
	}
	return pool, nil
}

// checkToken refuses names that cannot stand in a subject, before they change what it means.
func checkToken(what, name string) error {
	if name == "" {
		return fmt.Errorf("the host gave no %s", what)
	}
	for token := range strings.SplitSeq(name, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n\x00") {
			return fmt.Errorf("%s %q cannot be part of a NATS subject", what, name)
		}
	}
	return nil
}
