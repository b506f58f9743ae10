package par

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

// testKey is deterministic, so that golden values can depend on it.
func testKey(t testing.TB, role Role, fill byte) Key {
	t.Helper()
	raw := bytes.Repeat([]byte{fill}, 32)
	key, err := ParseSeed(role, encode([]byte{seedPrefix | byte(role)>>5, byte(role) << 3}, raw))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestChecksumIsXmodem(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x31c3 {
		t.Errorf("crc16 = %#x, the published check value is 0x31c3", got)
	}
}

func TestPublicKeysInTheWildAreRead(t *testing.T) {
	// Identities of wasmCloud's own HTTP server and messaging providers, as its documentation shows them.
	for _, text := range []string{
		"VAG3QITQQ2ODAOWB5TTQSDJ53XK3SHBEIFNK4AYJ5RKAX2UNSCAPHA5M",
		"VADNMSIML2XGO2X4TPIONTIC55R2UUQGPPDZPAVSC2QD7E76CR77SPW7",
	} {
		key, err := parsePublic(RoleService, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := encode([]byte{byte(RoleService)}, key); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func TestAccountKeysAreThoseOfNATS(t *testing.T) {
	key, err := NewKey(RoleAccount)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := nkeys.FromSeed([]byte(key.Seed()))
	if err != nil {
		t.Fatalf("nkeys refuses our seed: %v", err)
	}
	if public, err := theirs.PublicKey(); err != nil || public != key.Public() {
		t.Fatalf("nkeys reads our seed as %s (%v), we as %s", public, err, key.Public())
	}
	message := []byte("a message")
	if err := theirs.Verify(message, key.sign(message)); err != nil {
		t.Errorf("nkeys refuses our signature: %v", err)
	}

	theirs, err = nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := theirs.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ParseSeed(RoleAccount, string(seed)); err != nil {
		t.Fatalf("we refuse a seed of nkeys: %v", err)
	}
	if public, err := theirs.PublicKey(); err != nil || public != key.Public() {
		t.Errorf("we read a seed of nkeys as %s, nkeys as %s (%v)", key.Public(), public, err)
	}
}

func TestKeysShowTheirRole(t *testing.T) {
	for role, letter := range map[Role]string{RoleAccount: "A", RoleService: "V"} {
		key, err := NewKey(role)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key.Public(), letter) || len(key.Public()) != 56 {
			t.Errorf("public key of the %s: %s, want 56 letters from %s", role, key.Public(), letter)
		}
		if !strings.HasPrefix(key.Seed(), "S"+letter) || len(key.Seed()) != 58 {
			t.Errorf("the seed of the %s has %d letters and begins with %s", role, len(key.Seed()), key.Seed()[:2])
		}
		again, err := ParseSeed(role, key.Seed())
		if err != nil || again.Public() != key.Public() {
			t.Errorf("the seed of the %s is read as %s (%v), want %s", role, again, err, key)
		}
	}
}

func TestWrongSeedsAreRefusedAndNotShown(t *testing.T) {
	service, account := testKey(t, RoleService, 1), testKey(t, RoleAccount, 2)
	flipped := []byte(account.Seed())
	flipped[20] ^= 'A' ^ 'B'
	tests := map[string]struct{ text, want string }{
		"an empty text":               {"", "bytes"},
		"a seed of another role":      {service.Seed(), `begins with "SV" where "SA" is needed`},
		"a public key":                {account.Public(), "it has 35 bytes where 36 are needed"},
		"a cut seed":                  {account.Seed()[:40], "bytes"},
		"a changed letter":            {string(flipped), "ecksum"},
		"lower case":                  {strings.ToLower(account.Seed()), "base32"},
		"a line break inside":         {account.Seed()[:9] + "\n" + account.Seed()[9:], "canonical"},
		"something else of that size": {encode([]byte{0, 0}, make([]byte, 32)), "does not begin with S"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.text == string(flipped) && test.text == account.Seed() {
				t.Fatal("the test changed nothing")
			}
			_, err := ParseSeed(RoleAccount, test.text)
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want ErrKey and %q", err, test.want)
			}
			if len(test.text) > 8 && strings.Contains(err.Error(), test.text[4:]) {
				t.Errorf("the error shows the seed: %v", err)
			}
		})
	}
}

func TestNoFormatVerbShowsASeed(t *testing.T) {
	key := testKey(t, RoleAccount, 3)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, key); strings.Contains(got, key.Seed()[2:]) || !strings.Contains(got, key.Public()) {
			t.Errorf("%s gives %s", format, got)
		}
	}
}

func TestKeyFilesAreMadeOnceAndKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.nk")
	first, created, err := LoadKey(RoleAccount, file)
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	second, created, err := LoadKey(RoleAccount, file)
	if err != nil || created || second.Seed() != first.Seed() {
		t.Errorf("second time: created %t, the same key %t, %v", created, second.Seed() == first.Seed(), err)
	}
	if _, _, err := LoadKey(RoleService, file); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), file) {
		t.Errorf("as a service key: %v, want ErrKey and the file's name", err)
	}
	if _, _, err := LoadKey(RoleAccount, filepath.Join(file, "below")); err == nil {
		t.Error("a path below a file gave a key")
	}
}

func FuzzParseSeed(f *testing.F) {
	f.Add(testKey(f, RoleAccount, 1).Seed())
	f.Add(testKey(f, RoleService, 1).Seed())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		for _, role := range []Role{RoleAccount, RoleService} {
			if key, err := ParseSeed(role, text); err == nil && key.Seed() != text {
				t.Errorf("%q was read and is written as another text", text)
			}
		}
	})
}

func TestAKeyThatOthersMayReadIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "account.nk")
	if _, created, err := LoadKey(RoleAccount, file); err != nil || !created {
		t.Fatal(created, err)
	}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o644: true, 0o640: true, 0o602: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if got, err := OthersMayRead(file); err != nil || got != want {
			t.Errorf("mode %o: %v, %v", mode, got, err)
		}
	}
}

func TestWhatIsNoFileIsNotReadAsAKey(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxSeed+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/zero", t.TempDir(), large} {
		if _, _, err := LoadKey(RoleAccount, file); err == nil || !strings.Contains(err.Error(), "is no file with a seed") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
