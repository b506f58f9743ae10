package httpin

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
)

// TLS are files, which are read again when they have changed.
type TLS struct {
	// CertFile and KeyFile are the server's certificate, with those between it and its authority behind it, and its
	// key.
	CertFile, KeyFile string
	// ClientCAFile has the authorities of client certificates; without it nobody is known by a certificate.
	ClientCAFile string
}

// certificates are what the files of a [TLS] had when they were read last.
type certificates struct {
	TLS
	log *slog.Logger

	mu    sync.Mutex
	found []stamp
	now   *tls.Config
}

// stamp tells whether a file has changed.
type stamp struct {
	at   time.Time
	size int64
}

// config is the configuration of a server.
func (t TLS) config(log *slog.Logger) (*tls.Config, error) {
	c := &certificates{TLS: t, log: log}
	found, err := c.stamps()
	if err != nil {
		return nil, err
	}
	if c.now, err = c.read(); err != nil {
		return nil, err
	}
	c.found = found
	outer := c.now.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }
	return outer, nil
}

func (c *certificates) files() []string {
	files := []string{c.CertFile, c.KeyFile}
	if c.ClientCAFile != "" {
		files = append(files, c.ClientCAFile)
	}
	return files
}

func (c *certificates) stamps() ([]stamp, error) {
	var found []stamp
	for i, name := range c.files() {
		info, err := os.Stat(name)
		if err != nil {
			setting := []string{certSetting, keySetting, clientCASetting}[i]
			return nil, &Fault{setting, fmt.Errorf("looking at the file: %w", err)}
		}
		found = append(found, stamp{info.ModTime(), info.Size()})
	}
	return found, nil
}

// current is the configuration of the files as they are. Where they cannot be used, it is the one before.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, err := c.stamps()
	if err == nil && slices.Equal(found, c.found) {
		return c.now
	}
	if err == nil {
		var now *tls.Config
		if now, err = c.read(); err == nil {
			c.now, c.found = now, found
			c.log.Info("the certificates of the server were exchanged")
		}
	}
	if err != nil {
		c.log.Error("the certificates of the server cannot be exchanged; those before are used on", "error", err)
	}
	return c.now
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := pemtext.LoadPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, &Fault{certSetting, fmt.Errorf("reading the server's certificate: %w", err)}
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*pair}, NextProtos: []string{"h2", "http/1.1"},
	}
	if c.ClientCAFile == "" {
		return config, nil
	}
	certs, err := pemtext.LoadCertificates(c.ClientCAFile)
	if err != nil {
		return nil, &Fault{clientCASetting, fmt.Errorf("reading the authorities of clients: %w", err)}
	}
	config.ClientCAs = certs.Pool(c.log.With("setting", clientCASetting))
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}
