package par

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// wascapRevision is the version of the claims' layout that wasmCloud 1.x writes and reads.
const wascapRevision = 3

// tokenHeader is the one header that wasmCloud writes.
var tokenHeader = header{Type: "jwt", Algorithm: "Ed25519"}

// ErrSignature is wrapped when a token was not signed by the issuer that it names.
var ErrSignature = errors.New("the signature is not the issuer's")

// Claims is what the issuer of an archive says about it: the payload of its claims.jwt.
type Claims struct {
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`           // seconds since 1970; 0 = not known
	Expires   int64    `json:"exp,omitempty"` // seconds since 1970; 0 = never
	NotBefore int64    `json:"nbf,omitempty"` // seconds since 1970; 0 = always valid
	Issuer    string   `json:"iss"`           // public account key
	Subject   string   `json:"sub"`           // public service key
	Provider  Provider `json:"wascap"`
	Revision  int      `json:"wascap_revision"`
}

// Provider is the part of the claims about the provider itself.
type Provider struct {
	Name     string `json:"name"`
	Vendor   string `json:"vendor"`
	Revision int32  `json:"rev"`
	Version  string `json:"ver"`
	// Hashes has the SHA-256, in upper-case hexadecimal, of every file but the claims: binaries by target, an interface
	// definition as "world.wasm".
	Hashes map[string]string `json:"target_hashes"`
	// Schema is the JSON schema of the configuration, as archives made by others may have it.
	Schema json.RawMessage `json:"config_schema,omitempty"`
}

type header struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
}

// signClaims completes the claims (id, issuer, subject, layout) and returns them as a token. Ed25519 signatures are
// deterministic and encoding/json sorts maps, so equal claims make equal tokens.
func signClaims(claims Claims, issuer, subject Key) (string, error) {
	claims.Issuer, claims.Subject, claims.Revision = issuer.Public(), subject.Public(), wascapRevision
	claims.ID = ""
	content, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	claims.ID = tokenID(content)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	head, err := json.Marshal(tokenHeader)
	if err != nil {
		return "", fmt.Errorf("encoding the token's header: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(issuer.sign([]byte(signed))), nil
}

// tokenID derives the token's id from what it says, in the shape of the random ids that others write there (22 digits
// of base 62, which holds 131 bits of the hash).
func tokenID(content []byte) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256(content)
	rest, base, digit := new(big.Int).SetBytes(sum[:]), big.NewInt(int64(len(digits))), new(big.Int)
	id := make([]byte, 22)
	for i := range id {
		rest.DivMod(rest, base, digit)
		id[i] = digits[digit.Int64()]
	}
	return string(id)
}

// parseClaims reads a token and verifies that the issuer it names has signed it.
func parseClaims(token string) (Claims, error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("reading the claims: a token has 3 parts, this has %d", len(parts))
	}
	var head header
	if err := decodePart(parts[0], &head); err != nil {
		return Claims{}, fmt.Errorf("reading the header of the claims: %w", err)
	}
	// Exactly this algorithm: a token must not choose how it is verified.
	if !strings.EqualFold(head.Type, tokenHeader.Type) || head.Algorithm != tokenHeader.Algorithm {
		return Claims{}, fmt.Errorf("reading the header of the claims: type %q and algorithm %q where %q and %q are needed",
			head.Type, head.Algorithm, tokenHeader.Type, tokenHeader.Algorithm)
	}
	var claims Claims
	if err := decodePart(parts[1], &claims); err != nil {
		return Claims{}, fmt.Errorf("reading the claims: %w", err)
	}
	issuer, err := parsePublic(RoleAccount, claims.Issuer)
	if err != nil {
		return Claims{}, fmt.Errorf("verifying the claims: %w", err)
	}
	if _, err := parsePublic(RoleService, claims.Subject); err != nil {
		return Claims{}, fmt.Errorf("verifying the claims: %w", err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return Claims{}, fmt.Errorf("reading the signature of the claims: %w", err)
	}
	if !ed25519.Verify(issuer, []byte(parts[0]+"."+parts[1]), signature) {
		return Claims{}, fmt.Errorf("verifying the claims of %s: %w", claims.Issuer, ErrSignature)
	}
	return claims, nil
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(raw)).Decode(into)
}
