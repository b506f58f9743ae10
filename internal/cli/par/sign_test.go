package par

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func TestDetachedSignatures(t *testing.T) {
	t.Parallel()
	key, other := newTestKey(t, RoleAccount), newTestKey(t, RoleAccount)
	const message = "0123  messaging-kafka.par.gz\n"
	signature, err := key.Sign(strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyDetached(key.Public(), strings.NewReader(message), signature); err != nil {
		t.Errorf("a good signature: %v", err)
	}
	for name, err := range map[string]error{
		"another text":    VerifyDetached(key.Public(), strings.NewReader(message+" "), signature),
		"another key":     VerifyDetached(other.Public(), strings.NewReader(message), signature),
		"a cut signature": VerifyDetached(key.Public(), strings.NewReader(message), signature[:63]),
		"no signature":    VerifyDetached(key.Public(), strings.NewReader(message), nil),
		"a changed one": VerifyDetached(key.Public(), strings.NewReader(message),
			append([]byte{signature[0] ^ 1}, signature[1:]...)),
		"one with appendix": VerifyDetached(key.Public(), strings.NewReader(message), append(bytes.Clone(signature), 0)),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := VerifyDetached(newTestKey(t, RoleService).Public(), strings.NewReader(message),
		signature); !errors.Is(err, ErrKey) {
		t.Errorf("a key of another role: %v", err)
	}
	if _, err := key.Sign(bytes.NewReader(make([]byte, maxSigned+1))); err == nil {
		t.Error("more than the limit was signed")
	}
}

func TestThePublicKeyAsPEM(t *testing.T) {
	t.Parallel()
	key := newTestKey(t, RoleAccount)
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		t.Fatalf("it is %q", text)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parsePublic(RoleAccount, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if !want.Equal(public.(ed25519.PublicKey)) {
		t.Error("it is another key")
	}
}

func newTestKey(t *testing.T, role Role) Key {
	t.Helper()
	key, err := NewKey(role)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
