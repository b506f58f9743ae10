package pemtext

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Certificates are what a text has of them.
type Certificates struct {
	// List are those that can be read, in the order of the text.
	List []*x509.Certificate
	// Skipped are the numbers, from 1 on, of those that are there in full and that the TLS of this program cannot read:
	// old ones of authorities mostly.
	Skipped []int
	// HasKey tells that there is a private key as well.
	HasKey bool
}

// PEM are the certificates as PEM text, without anything else.
func (c *Certificates) PEM() []byte {
	var text []byte
	for _, one := range c.List {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return text
}

// Pool are the certificates as those of authorities, see [Certificates.AddTo].
func (c *Certificates) Pool(log *slog.Logger) *x509.CertPool {
	pool := x509.NewCertPool()
	c.AddTo(pool, log)
	return pool
}

// AddTo adds the certificates to a pool of authorities. The log, which knows where they stand, is told of those that
// are left out: whoever is known by one of them alone is not trusted.
func (c *Certificates) AddTo(pool *x509.CertPool, log *slog.Logger) {
	if len(c.Skipped) > 0 {
		log.Warn("certificates that cannot be read are left out", "numbers", c.Skipped)
	}
	for _, one := range c.List {
		pool.AddCert(one)
	}
}

// ReadCertificates reads one or more certificates. The error is a clause that goes on after what the text is.
func ReadCertificates(data []byte) (*Certificates, error) {
	data = unwrap(data)
	text := string(data)
	if !IsPEM(text) {
		list, err := x509.ParseCertificates(data)
		if err != nil || len(list) == 0 {
			return nil, foreign(data, "certificate", "CERTIFICATE")
		}
		return &Certificates{List: list}, nil
	}
	found := new(Certificates)
	number, other := 0, ""
	all := blocks(text)
	if len(all) == 0 {
		return nil, foreign(data, "certificate", "CERTIFICATE")
	}
	for _, b := range all {
		switch {
		case strings.HasSuffix(b.label, "PRIVATE KEY"):
			found.HasKey = true
			continue
		case !slices.Contains([]string{"CERTIFICATE", "X509 CERTIFICATE"}, b.label):
			other = b.label
			continue
		}
		number++
		if b.trouble != "" {
			return nil, fmt.Errorf("holds a certificate that %s (number %d)", b.trouble, number)
		}
		one, err := x509.ParseCertificate(b.der)
		if err != nil {
			found.Skipped = append(found.Skipped, number)
			continue
		}
		found.List = append(found.List, one)
	}
	switch {
	case len(found.List) > 0:
		return found, nil
	case len(found.Skipped) > 0:
		return nil, fmt.Errorf("holds a certificate that is damaged (number %d)", found.Skipped[0])
	case found.HasKey:
		return nil, errors.New("holds a private key and no certificate")
	}
	return nil, wrongBlock(other, "certificate")
}

// InOrder puts the certificate of a key first, behind it the one that has signed it, and so on; what has no part in
// that stays behind them in its order. It tells whether anything had to move, and is false where no certificate is the
// key's.
func (c *Certificates) InOrder(public any) (moved, is bool) {
	leaf := slices.IndexFunc(c.List, func(one *x509.Certificate) bool { return sameKey(one.PublicKey, public) })
	if leaf < 0 {
		return false, false
	}
	rest := slices.Clone(c.List)
	chain := []*x509.Certificate{rest[leaf]}
	rest = slices.Delete(rest, leaf, leaf+1)
	for {
		last := chain[len(chain)-1]
		next := slices.IndexFunc(rest, func(one *x509.Certificate) bool {
			return bytes.Equal(one.RawSubject, last.RawIssuer) && !bytes.Equal(one.Raw, last.Raw)
		})
		if next < 0 || bytes.Equal(last.RawSubject, last.RawIssuer) {
			break
		}
		chain = append(chain, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	chain = append(chain, rest...)
	moved = !slices.Equal(chain, c.List)
	c.List = chain
	return moved, true
}
