package pemtext

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Errors about encrypted keys.
var (
	// ErrEncrypted is for a key that is encrypted, where no password is given.
	ErrEncrypted = errors.New("is an encrypted key, and there is no password for it")
	// ErrPassword is for a password that does not open a key.
	ErrPassword = errors.New("is an encrypted key that the password does not open")
)

// Key is a private key.
type Key struct {
	Private crypto.Signer
	// WasEncrypted tells that the password was needed.
	WasEncrypted bool

	block block
}

// PEM is the key as PEM text, not encrypted.
func (k *Key) PEM() []byte { return k.block.encode() }

// ReadKey reads the private key of a TLS certificate, the first one in a text, encrypted or not; without a password,
// the error for one that is encrypted is [ErrEncrypted]. Every error is a clause that goes on after what the text is,
// and shows nothing of the text and the password.
func ReadKey(data []byte, password string) (*Key, error) {
	data = unwrap(data)
	text := string(data)
	if !IsPEM(text) {
		b := block{label: "PRIVATE KEY", der: data}
		if isEncrypted(data) {
			return open(b, password)
		}
		if !isKey(data) {
			return nil, foreign(data, "private key", "PRIVATE KEY")
		}
		return parse(b)
	}
	other := ""
	all := blocks(text)
	if len(all) == 0 {
		return nil, foreign(data, "private key", "PRIVATE KEY")
	}
	for _, b := range all {
		switch {
		case b.label == "OPENSSH PRIVATE KEY":
			return nil, errors.New("is a key in the form of OpenSSH: ssh-keygen -p -m PKCS8 -f FILE rewrites it as PEM for TLS")
		case !strings.HasSuffix(b.label, "PRIVATE KEY"):
			if other == "" {
				other = b.label
			}
			continue
		case b.trouble != "":
			return nil, fmt.Errorf("holds a private key that %s", b.trouble)
		case b.cipher != "" || isEncrypted(b.der):
			return open(b, password)
		}
		return parse(b)
	}
	return nil, wrongBlock(other, "private key")
}

func isKey(der []byte) bool {
	_, err := anyKey(der)
	return err == nil
}

// anyKey reads a key in any of the forms that TLS libraries write.
func anyKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParsePKCS8PrivateKey(der)
}

func parse(b block) (*Key, error) {
	key, err := anyKey(b.der)
	if err != nil {
		return nil, errors.New("holds a private key that is damaged or of a kind that TLS does not use")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return &Key{Private: key, block: b}, nil
	case *ecdsa.PrivateKey:
		return &Key{Private: key, block: b}, nil
	case ed25519.PrivateKey:
		return &Key{Private: key, block: b}, nil
	}
	return nil, errors.New("holds a private key of a kind that TLS does not use")
}

// open decrypts a key.
func open(b block, password string) (*Key, error) {
	if password == "" {
		return nil, ErrEncrypted
	}
	der, err := decrypt(b, password)
	if err != nil {
		return nil, err
	}
	plain := block{label: b.label, der: der}
	if b.cipher == "" {
		plain.label = "PRIVATE KEY"
	}
	key, err := parse(plain)
	if err != nil {
		if !isKey(der) {
			return nil, ErrPassword // by chance the padding was good
		}
		return nil, err
	}
	key.WasEncrypted = true
	return key, nil
}

func decrypt(b block, password string) ([]byte, error) {
	if b.cipher == "" {
		return openPKCS8(b.der, password)
	}
	old := &pem.Block{Type: b.label, Bytes: b.der,
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": b.cipher}}
	//lint:ignore SA1019 old, and what people have; nobody tries passwords here
	der, err := x509.DecryptPEMBlock(old, []byte(password)) //nolint:staticcheck // see above
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, ErrPassword
	case err != nil:
		return nil, errors.New("is an encrypted key that is damaged or encrypted in a way that is not supported: openssl pkcs8 -topk8 -in FILE -out key.pem writes it anew")
	}
	return der, nil
}

// sameKey compares public keys.
func sameKey(a, b any) bool {
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
