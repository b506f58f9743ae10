package pemtext

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxIterations bounds the work for a password. OpenSSL has 2048, and the advice of today is 600,000; whoever gives a
// key chooses the number.
const maxIterations = 1_000_000

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958, section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 are the parameters of PBES2, and pbkdf2Params those of PBKDF2 (RFC 8018, appendices A.4 and A.2).
type (
	pbes2        struct{ Derivation, Encryption pkix.AlgorithmIdentifier }
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		Length     int                      `asn1:"optional"`
		Hash       pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

var hashes = map[string]func() hash.Hash{
	"":                    sha1.New,
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

var ciphers = map[string]struct {
	key int
	new func([]byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// errForeign is for encryptions of other kinds, the old ones (PBES1, as of pkcs8 -v1) and scrypt among them.
var errForeign = errors.New("is a key that is encrypted in a way that is not supported: openssl pkcs8 -in FILE -topk8 -v2 aes-256-cbc -out key.pem encrypts it anew")

var errDamaged = errors.New("is an encrypted key that is damaged")

// isEncrypted tells an encrypted key from others, which begin with a number.
func isEncrypted(der []byte) bool {
	var key encryptedKey
	rest, err := asn1.Unmarshal(der, &key)
	return err == nil && len(rest) == 0
}

// openPKCS8 decrypts a key by the standard library's PBKDF2 and ciphers.
func openPKCS8(der []byte, password string) ([]byte, error) {
	var key encryptedKey
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 {
		return nil, errDamaged
	}
	if key.Algorithm.Algorithm.String() != oidPBES2 {
		return nil, errForeign
	}
	var how pbes2
	if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &how); err != nil {
		return nil, errDamaged
	}
	if how.Derivation.Algorithm.String() != oidPBKDF2 {
		return nil, errForeign
	}
	var derivation pbkdf2Params
	if _, err := asn1.Unmarshal(how.Derivation.Parameters.FullBytes, &derivation); err != nil {
		return nil, errDamaged
	}
	oid := ""
	if len(derivation.Hash.Algorithm) > 0 {
		oid = derivation.Hash.Algorithm.String()
	}
	newHash, known := hashes[oid]
	by, has := ciphers[how.Encryption.Algorithm.String()]
	if !known || !has {
		return nil, errForeign
	}
	var iv []byte
	if _, err := asn1.Unmarshal(how.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, errDamaged
	}
	if n := derivation.Iterations; n > maxIterations {
		return nil, fmt.Errorf("is a key whose password takes %d rounds, and at most %d are made: openssl pkcs8 -in FILE -topk8 -iter 600000 -out key.pem encrypts it anew", n, maxIterations)
	} else if n < 1 || derivation.Length != 0 && derivation.Length != by.key {
		return nil, errDamaged
	}
	secret, err := pbkdf2.Key(newHash, password, derivation.Salt, derivation.Iterations, by.key)
	if err != nil {
		return nil, errForeign // FIPS 140 forbids it
	}
	block, err := by.new(secret)
	if err != nil {
		return nil, errForeign
	}
	size := block.BlockSize()
	if len(iv) != size || len(key.Data) == 0 || len(key.Data)%size != 0 {
		return nil, errDamaged
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	return unpad(plain, size)
}

// unpad takes off what fills the last block. Whoever could use how that fails for an attack has the key's text.
func unpad(plain []byte, size int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n < 1 || n > size {
		return nil, ErrPassword
	}
	for _, c := range plain[len(plain)-n:] {
		if int(c) != n {
			return nil, ErrPassword
		}
	}
	return plain[:len(plain)-n], nil
}
