package natsconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// explained says which settings are concerned where a connection cannot be made; the cause stays below. Where no setting
// is concerned, it returns the cause.
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
	if alert, is := errors.AsType[*net.OpError](cause); is && alert.Op == "remote error" { // a TLS alert of the server's
		return fmt.Errorf("the server does not take the client's certificate, or misses one (nats_tls_cert_file, nats_tls_key_file): %w",
			cause)
	}
	return cause
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
