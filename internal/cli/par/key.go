package par

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// Role is what a key stands for. wasmCloud writes Ed25519 keys in the nkey format of NATS, with one role that NATS
// itself does not know: the service, which names a provider.
type Role byte

// The roles that an archive needs. The value is the nkey prefix byte, whose upper five bits become the first letter of
// the key's text. The role of a service is wasmCloud's own, which the library nkeys refuses to read and to write.
const (
	RoleAccount Role = 0 << 3  // "A…", seed "SA…": the issuer that signs
	RoleService Role = 21 << 3 // "V…", seed "SV…": the provider that is signed for
)

// seedPrefix is the nkey prefix of every seed: it becomes the letter S.
const seedPrefix = 18 << 3

// ErrKey is wrapped by every error about the text of a key. The text itself is never part of the message, for it may
// be a seed.
var ErrKey = errors.New("not a valid key")

// String names the role as a person would.
func (r Role) String() string {
	switch r {
	case RoleAccount:
		return "account"
	case RoleService:
		return "service"
	}
	return fmt.Sprintf("unknown role %#x", byte(r))
}

// Key is an Ed25519 key pair in a role. It is immutable and safe for concurrent use.
type Key struct {
	role    Role
	private ed25519.PrivateKey
}

// NewKey makes a key from the system's random source.
func NewKey(role Role) (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("making a key for the %s: %w", role, err)
	}
	return Key{role, private}, nil
}

// ParseSeed reads a key from its seed ("SA…" or "SV…", according to role). Errors wrap [ErrKey].
func ParseSeed(role Role, text string) (Key, error) {
	raw, err := decode(text, 2+ed25519.SeedSize)
	if err != nil {
		return Key{}, fmt.Errorf("reading a seed for the %s: %w", role, err)
	}
	// The role's byte is spread over the low three bits of the first byte and the high five of the second, so that
	// both letters fall on base32 borders.
	if raw[0]&0xf8 != seedPrefix {
		return Key{}, fmt.Errorf("reading a seed for the %s: %w: it does not begin with S, so it is no seed", role, ErrKey)
	}
	if got := Role(raw[0]<<5 | raw[1]>>3); got != role {
		return Key{}, fmt.Errorf("reading a seed for the %s: %w: it begins with %q where %q is needed",
			role, ErrKey, "S"+letter(got), "S"+letter(role))
	}
	return Key{role, ed25519.NewKeyFromSeed(raw[2:])}, nil
}

// Seed returns the secret text of the key. Whoever has it can sign in the key's name.
func (k Key) Seed() string {
	return encode([]byte{seedPrefix | byte(k.role)>>5, byte(k.role) << 3}, k.private.Seed())
}

// Public returns the public text of the key ("A…" or "V…").
func (k Key) Public() string {
	return encode([]byte{byte(k.role)}, k.private.Public().(ed25519.PublicKey))
}

// String returns the public text, so that no format verb shows the seed.
func (k Key) String() string { return k.Public() }

// GoString does the same for %#v.
func (k Key) GoString() string { return k.Public() }

func (k Key) sign(message []byte) []byte { return ed25519.Sign(k.private, message) }

// parsePublic reads the public text of a key in a role.
func parsePublic(role Role, text string) (ed25519.PublicKey, error) {
	raw, err := decode(text, 1+ed25519.PublicKeySize)
	if err != nil {
		return nil, fmt.Errorf("reading the public key of the %s: %w", role, err)
	}
	if Role(raw[0]) != role {
		return nil, fmt.Errorf("reading the public key of the %s: %w: it begins with %q where %q is needed",
			role, ErrKey, text[:1], letter(role))
	}
	return ed25519.PublicKey(raw[1:]), nil
}

// LoadKey reads the seed in file, or makes a new key there (mode 0600) when the file does not exist; created tells
// which. The folder must exist. An existing file is never written to.
func LoadKey(role Role, file string) (key Key, created bool, err error) {
	text, err := readSeed(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = createKey(role, file)
		return key, err == nil, err
	}
	if err != nil {
		return Key{}, false, fmt.Errorf("reading the %s key: %w", role, err)
	}
	if key, err = ParseSeed(role, strings.TrimSpace(string(text))); err != nil {
		return Key{}, false, fmt.Errorf("%s: %w", file, err)
	}
	return key, false, nil
}

// maxSeed is far above what the file of a seed holds: 58 characters and a line break.
const maxSeed = 4 << 10

// readSeed reads a regular file alone: a pipe would hold the program up for good, and a device have no end.
func readSeed(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSeed {
		return nil, fmt.Errorf("%s is no file with a seed", file)
	}
	return os.ReadFile(file)
}

// OthersMayRead tells whether users besides its owner may read or change the file of a key.
func OthersMayRead(file string) (bool, error) {
	info, err := os.Stat(file)
	if err != nil {
		return false, fmt.Errorf("looking at the file of a key: %w", err)
	}
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0, nil
}

func createKey(role Role, file string) (Key, error) {
	key, err := NewKey(role)
	if err != nil {
		return Key{}, err
	}
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Key{}, fmt.Errorf("writing the %s key: %w", role, err)
	}
	_, err = to.WriteString(key.Seed() + "\n")
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		// Half a seed would stand in the way of the next try.
		return Key{}, fmt.Errorf("writing the %s key: %w", role, errors.Join(err, os.Remove(file)))
	}
	return key, nil
}

func letter(role Role) string { return string(rune('A' + byte(role)>>3)) }

var nkeyEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

func encode(prefix, body []byte) string {
	raw := append(append(make([]byte, 0, len(prefix)+len(body)+2), prefix...), body...)
	return nkeyEncoding.EncodeToString(binary.LittleEndian.AppendUint16(raw, crc16(raw)))
}

// decode returns the prefix and body of a key's text after it checked the length and the checksum.
func decode(text string, size int) ([]byte, error) {
	raw, err := nkeyEncoding.DecodeString(text)
	if err != nil {
		// The cause would quote the place in the text, which helps nobody and may point into a secret.
		return nil, fmt.Errorf("%w: it is not base32", ErrKey)
	}
	if len(raw) != size+2 {
		return nil, fmt.Errorf("%w: it has %d bytes where %d are needed", ErrKey, len(raw), size+2)
	}
	// The decoder skips line breaks and unused bits; a key that others store under its text has one spelling only.
	if nkeyEncoding.EncodeToString(raw) != text {
		return nil, fmt.Errorf("%w: it is not in its canonical spelling", ErrKey)
	}
	raw, sum := raw[:size], raw[size:]
	if binary.LittleEndian.Uint16(sum) != crc16(raw) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrKey)
	}
	return raw, nil
}

// crc16 is CRC-16/XMODEM: polynomial 0x1021, initial value 0, nothing reflected. Keys are far too short to deserve a
// table.
func crc16(data []byte) uint16 {
	var sum uint16
	for _, b := range data {
		sum ^= uint16(b) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
