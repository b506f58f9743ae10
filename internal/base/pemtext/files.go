package pemtext

import (
	"crypto/tls"
	"fmt"
	"os"
)

// LoadCertificates reads certificates from a file that the operator of the program names.
func LoadCertificates(path string) (*Certificates, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := ReadCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return certs, nil
}

// LoadPair is [Pair] for files that the operator of the program names, and keys that are not encrypted.
func LoadPair(certPath, keyPath string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, err
	}
	pair, _, err := Pair(cert, key, "")
	if err != nil {
		return nil, fmt.Errorf("of %s and %s, %w", certPath, keyPath, err)
	}
	return pair, nil
}
