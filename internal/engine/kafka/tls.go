package kafka

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

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
}

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
			if _, err := certPool([]byte(s.TLSCA), "tls_ca", false); err != nil {
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
	ca, name, err := textOrFile(s.TLSCA, s.TLSCAFile, "tls_ca", s)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		if config.RootCAs, err = certPool(ca, name, false); err != nil {
			return nil, err
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
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate from %s and %s: %s", certName, keyName, pairTrouble(cert, key))
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// pairTrouble says why certificate and key are no pair. The standard library's texts would show what stands in the
// place of the names of PEM blocks, whatever file a link has named.
func pairTrouble(cert, key []byte) string {
	switch {
	case !hasBlock(cert, "CERTIFICATE"):
		return "the first holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
	case !hasBlock(key, "PRIVATE KEY"):
		return "the second holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
	case hasBlock(key, "ENCRYPTED PRIVATE KEY") || bytes.Contains(key, []byte("Proc-Type: 4,ENCRYPTED")):
		return "the private key is encrypted: give it decrypted"
	}
	return "the private key is not that of the certificate, or one of them is damaged"
}

// hasBlock tells whether text has a PEM block whose name ends in kind.
func hasBlock(text []byte, kind string) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if strings.HasSuffix(block.Type, kind) {
			return true
		}
		text = rest
	}
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

// certPool returns the certificates in text, on top of the system's roots where withSystem is set.
func certPool(text []byte, key string, withSystem bool) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if withSystem {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("reading the system's root certificates: %w", err)
		}
		pool = system
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", key)
	}
	return pool, nil
}
