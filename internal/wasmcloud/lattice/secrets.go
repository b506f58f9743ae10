package lattice

import (
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// opener opens what the host sealed for the provider. The zero value is that of a host that gave no keys.
type opener struct {
	key    nkeys.KeyPair
	public string // of key
	host   string // the host's public curve key
}

// publicKeyLength is that of an nkey in base32: a prefix byte, 32 bytes of key and two of checksum.
const publicKeyLength = 56

var errNoKeys = errors.New("the link has secrets, but the host gave the provider no key to open them")

// newOpener reads the keys of the host data. Both missing is no error; one alone is as good as none to the host, which
// then uses the subject without key as well.
func newOpener(data *hostdata.Data) (opener, error) {
	seed := data.ProviderXKeyPrivate.Reveal()
	if seed == "" || data.HostXKeyPublic == "" {
		return opener{}, nil
	}
	key, err := nkeys.FromCurveSeed([]byte(seed))
	if err != nil {
		return opener{}, errors.New("the host's provider_xkey_private_key is no curve key seed")
	}
	public, err := key.PublicKey()
	if err != nil {
		return opener{}, errors.New("the host's provider_xkey_private_key has no public key")
	}
	// nkeys panics when it is to decode a longer one.
	if len(data.HostXKeyPublic) != publicKeyLength || !nkeys.IsValidPublicCurveKey(data.HostXKeyPublic) {
		return opener{}, fmt.Errorf("the host's host_xkey_public_key %q is no public curve key", data.HostXKeyPublic)
	}
	return opener{key: key, public: public, host: data.HostXKeyPublic}, nil
}

// open opens a link's secrets: "xkv1", a nonce of 24 bytes and a NaCl box (nkeys' Seal) around the JSON that
// [hostdata.DecodeSecrets] reads. Its errors hold neither sealed nor opened bytes.
func (o opener) open(sealed hostdata.Sealed) (map[string]settings.Secret, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if o.key == nil {
		return nil, errNoKeys
	}
	plain, err := o.key.Open(sealed, o.host)
	if err != nil {
		return nil, fmt.Errorf("opening the link's secrets: %w", err)
	}
	defer clear(plain)
	secrets, err := hostdata.DecodeSecrets(plain)
	if err != nil {
		return nil, fmt.Errorf("reading the link's secrets: %w", err)
	}
	return secrets, nil
}
