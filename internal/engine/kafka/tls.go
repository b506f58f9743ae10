package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// tlsSource makes the TLS configuration of each new connection. Files are read again when their size or time of
// change differs; a state of the files that is no good (half of a rotation, say) leaves the last good one in use.
type tlsSource struct {
	security settings.Security
	log      *slog.Logger

	mu    sync.Mutex
	good  *tls.Config // nil until there is a good one
	tried fileStamps  // the state of the files at the last attempt
	// remarks are what was decided about certificates when they were read last.
	remarks []CertificateRemark
}

// CertificateRemark says what had to be decided about the certificates of a setting. Text goes on behind its name.
type CertificateRemark struct{ Setting, Text string }

// fileStamps tells by size and time of change whether files may differ from before.
type fileStamps [3]fileStamp

type fileStamp struct {
	size    int64
	changed time.Time
}

// newTLSSource checks what is given as text at once, and leaves files to the first connection.
func newTLSSource(s settings.Security, log *slog.Logger) (*tlsSource, error) {
	t := &tlsSource{security: s, log: log}
	if t.usesFiles() {
		if s.TLSCA != "" {
			if _, _, err := certPool([]byte(s.TLSCA), "tls_ca", false, log); err != nil {
				return nil, err
			}
		}
		return t, nil
	}
	config, err := t.build()
	if err != nil {
		return nil, err
	}
	t.good = config
	return t, nil
}

func (t *tlsSource) usesFiles() bool {
	return t.security.TLSCAFile != "" || t.security.TLSCertFile != "" || t.security.TLSKeyFile != ""
}

// config returns a configuration that the caller may change.
func (t *tlsSource) config() (*tls.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.usesFiles() {
		return t.good.Clone(), nil
	}
	stamps, err := t.stamps()
	switch {
	case err == nil && t.good != nil && stamps == t.tried:
		return t.good.Clone(), nil
	case err == nil:
		var config *tls.Config
		if config, err = t.build(); err == nil {
			t.good, t.tried = config, stamps
			return config.Clone(), nil
		}
		if !errors.As(err, new(*FileError)) {
			err = &FileError{Err: err}
		}
	}
	if t.good == nil {
		return nil, err
	}
	if stamps != t.tried { // once for each state of the files, not once for each connection
		t.log.Error("reading changed TLS files failed; connections go on with what was read before", "error", err)
		t.tried = stamps
	}
	return t.good.Clone(), nil
}

func (t *tlsSource) stamps() (fileStamps, error) {
	var stamps fileStamps
	var errs []error
	for i, f := range []struct{ key, path string }{
		{"tls_ca_file", t.security.TLSCAFile},
		{"tls_cert_file", t.security.TLSCertFile},
		{"tls_key_file", t.security.TLSKeyFile},
	} {
		if f.path == "" {
			continue
		}
		info, err := statFile(f.key, f.path, &t.security)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		stamps[i] = fileStamp{size: info.Size(), changed: info.ModTime()}
	}
	return stamps, errors.Join(errs...)
}

func (t *tlsSource) build() (*tls.Config, error) {
	s := &t.security
	config := &tls.Config{
		ServerName: s.TLSServerName,
		MinVersion: s.TLSMinVersion,
		// Asked for by name by the operator, and warned about by the settings.
		InsecureSkipVerify: s.TLSInsecureSkipVerify,
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	t.remarks = nil
	ca, name, err := textOrFile(s.TLSCA, s.TLSCAFile, "tls_ca", s)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		pool, skipped, err := certPool(ca, name, false, t.log)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
		for _, number := range skipped {
			t.remarks = append(t.remarks, CertificateRemark{name, fmt.Sprintf("has a certificate that cannot be read and is left out (number %d)", number)})
		}
	}
	cert, certName, err := textOrFile(s.TLSCert, s.TLSCertFile, "tls_cert", s)
	if err != nil {
		return nil, err
	}
	key, keyName, err := textOrFile(s.TLSKey.Reveal(), s.TLSKeyFile, "tls_key", s)
	if err != nil {
		return nil, err
	}
	switch {
	case cert == nil && key == nil:
		return config, nil
	case key == nil:
		return nil, fmt.Errorf("%s is set without tls_key: a client certificate needs its private key", certName)
	case cert == nil:
		return nil, fmt.Errorf("%s is set without tls_cert: a private key needs its client certificate", keyName)
	}
	pair, moved, err := pemtext.Pair(cert, key, s.TLSKeyPassword.Reveal())
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate from %s and %s: %w", certName, keyName, err)
	}
	if moved {
		t.log.Warn("the certificates of a chain are not in order, that of the key first and behind each the one that has signed it; they are used in that order",
			"setting", certName)
		t.remarks = append(t.remarks, CertificateRemark{certName,
			"is not in order, the certificate of the key first and behind each the one that has signed it; it is used in that order"})
	}
	config.Certificates = []tls.Certificate{*pair}
	return config, nil
}

// textOrFile returns the PEM text of a setting, nil where there is none, and the name of the key it came from.
func textOrFile(text, path, key string, s *settings.Security) ([]byte, string, error) {
	if text != "" {
		return []byte(text), key, nil
	}
	if path == "" {
		return nil, key, nil
	}
	key += "_file"
	data, err := readFile(key, path, s)
	return data, key, err
}

// certPool returns the certificates in text, on top of the system's roots where withSystem is set, and the numbers of
// those that cannot be read.
func certPool(text []byte, key string, withSystem bool, log *slog.Logger) (pool *x509.CertPool, skipped []int, err error) {
	certs, err := pemtext.ReadCertificates(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", key, err)
	}
	pool = x509.NewCertPool()
	if withSystem {
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, nil, fmt.Errorf("reading the system's root certificates: %w", err)
		}
	}
	certs.AddTo(pool, log.With("setting", key))
	return pool, certs.Skipped, nil
}
