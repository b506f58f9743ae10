package par

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
)

// maxSigned bounds a file that is signed by itself: lists of sums are some KiB, and Ed25519 takes a message whole.
const maxSigned = 1 << 20

// Sign returns the detached signature of what message holds, at most 1 MiB: the 64 bytes of plain Ed25519 (RFC 8032),
// which OpenSSL's pkeyutl -rawin verifies.
func (k Key) Sign(message io.Reader) ([]byte, error) {
	text, err := readSigned(message)
	if err != nil {
		return nil, err
	}
	return k.sign(text), nil
}

// PEM returns the public key as a PKIX block ("PUBLIC KEY"), as OpenSSL reads it.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key of the %s: %w", k.role, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// VerifyDetached checks a signature that [Key.Sign] made with the key of the account whose public text is issuer. Its
// errors wrap [ErrSignature] or [ErrKey], where they are not those of reading.
func VerifyDetached(issuer string, message io.Reader, signature []byte) error {
	public, err := parsePublic(RoleAccount, issuer)
	if err != nil {
		return err
	}
	text, err := readSigned(message)
	if err != nil {
		return err
	}
	if !ed25519.Verify(public, text, signature) {
		return fmt.Errorf("%w: it is not one of %s", ErrSignature, issuer)
	}
	return nil
}

func readSigned(message io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(message, maxSigned+1))
	if err != nil {
		return nil, fmt.Errorf("reading what is signed: %w", err)
	}
	if len(text) > maxSigned {
		return nil, fmt.Errorf("reading what is signed: it is larger than %d bytes: sign the list of its sums", maxSigned)
	}
	return text, nil
}
