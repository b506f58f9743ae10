package bridge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// destination is who gets the credentials of a route. Other credentials for it are exchanged while all goes on; those
// for another destination never go to this one.
type destination struct{ route, url, host string }

func destinationOf(r *config.Route) destination {
	return destination{r.Name, r.Settings.HTTP.URL, r.Settings.HTTP.Host}
}

// credentials are what a route shows at its destination, at any time.
type credentials struct{ now atomic.Pointer[shown] }

// shown is what is shown at one time.
type shown struct {
	bearer, key settings.Secret
	pair        *tls.Certificate // nil for none
}

// secrets are the token and the key.
func (c *credentials) secrets() (bearer, key settings.Secret) {
	now := c.now.Load()
	return now.bearer, now.key
}

// pair is the certificate of the moment, nil for none.
func (c *credentials) pair() *tls.Certificate { return c.now.Load().pair }

// certificate is what TLS shows where it is asked for.
func (c *credentials) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if pair := c.pair(); pair != nil {
		return pair, nil
	}
	return new(tls.Certificate), nil // none, by the rules of crypto/tls
}

// keep keeps the certificate before where it is the same, or connections that have shown it would be replaced.
func (s *shown) keep(before *shown) {
	if s.pair != nil && before.pair != nil && slices.EqualFunc(s.pair.Certificate, before.pair.Certificate, bytes.Equal) {
		s.pair = before.pair
	}
}

// credentialsOf are what routes show by a file. Its error is [config.Errors].
func credentialsOf(now *config.Config) (map[destination]*shown, error) {
	next := make(map[destination]*shown)
	for _, r := range now.Routes {
		h := &r.Settings.HTTP
		if !h.Deliver.OverHTTP() {
			continue
		}
		s, err := shownOf(h)
		if err != nil {
			return nil, now.Fault("routes."+r.Name, err)
		}
		next[destinationOf(r)] = s
	}
	return next, nil
}

// shownOf is what a route shows by its settings.
func shownOf(h *settings.HTTP) (*shown, error) {
	s := &shown{bearer: h.BearerToken, key: h.HMACKey}
	if h.TLSCert == "" {
		return s, nil
	}
	var err error
	s.pair, err = pairOf(h)
	return s, err
}

// show has routes show what a file says, at destinations that are not new from now on.
func (b *Bridge) show(next map[destination]*shown) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := make(map[destination]*credentials, len(next))
	for to, s := range next {
		c := b.credentials[to]
		if c == nil {
			c = new(credentials)
		} else {
			s.keep(c.now.Load())
		}
		c.now.Store(s)
		kept[to] = c
	}
	b.credentials = kept
}

// shownBy are the credentials of a route, nil where the file that is carried out has no such route.
func (b *Bridge) shownBy(r *config.Route) *credentials {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.credentials[destinationOf(r)]
}

// withoutCredentials are the settings of a route that are the same while its credentials are exchanged.
func withoutCredentials(s settings.Link) settings.Link {
	s.HTTP.BearerToken, s.HTTP.HMACKey = settings.Secret{}, settings.Secret{}
	s.HTTP.TLSCert, s.HTTP.TLSKey = "", settings.Secret{}
	return s
}

func pairOf(h *settings.HTTP) (*tls.Certificate, error) {
	pair, _, err := pemtext.Pair([]byte(h.TLSCert), []byte(h.TLSKey.Reveal()), "") // the settings have opened it
	if err != nil {
		return nil, fmt.Errorf("reading the certificate from http_tls_cert and http_tls_key: %w", err)
	}
	return pair, nil
}

// tlsOf is how TLS is spoken to an application, nil where it is not.
func tlsOf(h *settings.HTTP, certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) *tls.Config {
	if !strings.HasPrefix(h.URL, "https:") {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: certificate}
	if h.TLSCA != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(h.TLSCA)) // the settings have looked at each
	}
	return config
}
