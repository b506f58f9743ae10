package natsconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// explained says which settings are concerned where a connection cannot be made; the cause stays below. Where no
// setting is concerned, it returns the cause.
func explained(s *settings.NATSServer, cause error) error {
	switch about, set := credentials(s); {
	case isAboutCredentials(cause) && set:
		return fmt.Errorf("the server does not take the credentials (%s): %w", about, cause)
	case isAboutCredentials(cause):
		return fmt.Errorf("the server wants credentials, and there are none (%s): %w", about, cause)
	case errors.Is(cause, nats.ErrSecureConnWanted):
		return fmt.Errorf("the server does not speak TLS, which tls:// in nats_url and each nats_tls_… setting ask for: %w", cause)
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](cause); is {
		return fmt.Errorf("the server's certificate is signed by an authority that is not trusted (nats_tls_ca_file): %w", cause)
	}
	if _, is := errors.AsType[x509.HostnameError](cause); is {
		return fmt.Errorf("the server's certificate is for another name than nats_url has: %w", cause)
	}
	if isAboutClientCertificate(cause) {
		return fmt.Errorf("the server does not take the client's certificate, or misses one (nats_tls_cert_file, nats_tls_key_file): %w",
			cause)
	}
	if _, is := errors.AsType[*net.DNSError](cause); is {
		return fmt.Errorf("the name in nats_url cannot be resolved: %w", cause)
	}
	if errors.Is(cause, syscall.ECONNREFUSED) || errors.Is(cause, nats.ErrNoServers) {
		// nats.go gives the latter for the former, where it makes one attempt alone.
		return fmt.Errorf("nothing listens at nats_url: %w", cause)
	}
	if late, is := errors.AsType[net.Error](cause); is && late.Timeout() || errors.Is(cause, nats.ErrTimeout) {
		return fmt.Errorf("nothing answered as a NATS server does in time (nats_url): %w", cause)
	}
	return cause
}

// isAboutClientCertificate tells whether a server has ended a connection because of the certificate that it was shown,
// or was not: by a TLS alert that says so (there are others, and Go has no type for them), or by closing the connection
// as soon as TLS is there, which is when it looks at a certificate of TLS 1.3. Then the alert may be lost.
func isAboutClientCertificate(err error) bool {
	if alert, is := errors.AsType[*net.OpError](err); is && alert.Op == "remote error" {
		return strings.Contains(alert.Error(), "certificate") || strings.Contains(alert.Error(), "access denied")
	}
	return errors.Is(err, nats.ErrTLS) && strings.Contains(err.Error(), "closed by remote after TLS handshake")
}

// credentials names the settings by which the server is told who we are, or, where none of them is set, all that there
// are.
func credentials(s *settings.NATSServer) (about string, set bool) {
	switch {
	case !s.Creds.Empty():
		return "nats_creds", true
	case !s.Seed.Empty():
		return "nats_nkey", true
	case !s.Token.Empty():
		return "nats_token", true
	case s.User != "":
		return "nats_user, nats_password", true
	}
	return "nats_creds, nats_nkey, nats_token, or nats_user and nats_password", false
}

// isAboutCredentials tells whether a server has ended a connection because it does not take, or no longer takes, who we
// are.
func isAboutCredentials(err error) bool {
	for _, of := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		// Of a first connection, nats.go gives the server's words, which are those of its own error, without the type.
		if errors.Is(err, of) || strings.EqualFold(err.Error(), of.Error()) {
			return true
		}
	}
	return false
}
