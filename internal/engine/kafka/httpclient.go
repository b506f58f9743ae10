package kafka

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Service is an HTTP server beside the brokers that settings name: it gives out tokens, or schemas.
type Service struct {
	// CA is PEM text, CAFile a file of it, Setting the name of the setting of the first; that of the second ends in _file.
	// Authorities of the system are good as well.
	CA, CAFile, Setting string
	// Folders are the settings that say which files may be read.
	Folders *settings.Security
	Timeout time.Duration
	// Connect makes connections; nil is the machine's network.
	Connect Connector
	Log     *slog.Logger
}

// Check says what is wrong with what is given as text.
func (s *Service) Check() error {
	if s.CA == "" {
		return nil
	}
	_, _, err := certPool([]byte(s.CA), s.Setting, false, s.Log)
	return err
}

// Client makes a client for one question. There are few of them, so nothing is kept: no connection is left over at the
// end, and a changed file of authorities is read.
func (s *Service) Client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	// The service is often, but not always, under the authority that the brokers are under: both that and the system's
	// roots are good.
	ca, name, err := textOrFile(s.CA, s.CAFile, s.Setting, s.Folders)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		if config.RootCAs, _, err = certPool(ca, name, true, s.Log); err != nil {
			return nil, err
		}
	}
	return &http.Client{
		Timeout: s.Timeout,
		// Credentials go to nobody but the server that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         s.Connect,
			DisableKeepAlives:   true,
			TLSHandshakeTimeout: s.Timeout,
			TLSClientConfig:     config,
		},
	}, nil
}
