package pemtext

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// Pair reads a certificate, with the chain behind it, and its key from the texts of both, and tells whether the chain
// had to be put in order. The error is a clause about the first and the second of the two.
func Pair(cert, key []byte, password string) (pair *tls.Certificate, moved bool, err error) {
	certs, err := ReadCertificates(cert)
	if err != nil {
		return nil, false, fmt.Errorf("the first %w", err)
	}
	if len(certs.Skipped) > 0 {
		return nil, false, fmt.Errorf("the first holds a certificate that is damaged (number %d)", certs.Skipped[0])
	}
	private, err := ReadKey(key, password)
	if err != nil {
		return nil, false, fmt.Errorf("the second %w", err)
	}
	moved, is := certs.InOrder(private.Private.Public())
	if !is {
		return nil, false, errors.New("the private key in the second is that of no certificate in the first")
	}
	pair = &tls.Certificate{PrivateKey: private.Private, Leaf: certs.List[0]}
	for _, one := range certs.List {
		pair.Certificate = append(pair.Certificate, one.Raw)
	}
	return pair, moved, nil
}
