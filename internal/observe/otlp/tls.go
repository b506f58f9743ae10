package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
)

// config makes the TLS configuration: the system's CAs and those of the files. It needs no file where there are none,
// and leaves the system's CAs to be loaded by the first connection then.
func (f files) config(log *slog.Logger) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(f.cas) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("loading the system's CA certificates: %w", err)
		}
		for _, path := range f.cas {
			certs, err := pemtext.LoadCertificates(path)
			if err != nil {
				return nil, fmt.Errorf("reading CA certificates: %w", err)
			}
			certs.AddTo(roots, log.With("file", path))
		}
		c.RootCAs = roots
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY are of use only together")
	}
	if f.cert != "" {
		pair, err := pemtext.LoadPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{*pair}
	}
	return c, nil
}
