package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestASignedFileIsVerifiedByTheProgramAndByOpenSSL(t *testing.T) {
	testkit.Require(t, testkit.OpenSSL)
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	issuer, _, err := par.LoadKey(par.RoleAccount, path("issuer.nk"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("SHA256SUMS"), []byte("0123  x.par.gz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := run(t, "", nil, "par", "sign", "--issuer-key", path("issuer.nk"), "--public-key", path("issuer.pem"),
		path("SHA256SUMS"))
	if signed.code != 0 || !strings.Contains(signed.out, issuer.Public()) || strings.Contains(signed.out, issuer.Seed()) {
		t.Fatalf("sign: exit %d, %s%s", signed.code, signed.out, signed.err)
	}
	openssl := func() ([]byte, error) {
		command := exec.CommandContext(t.Context(), "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "issuer.pem",
			"-rawin", "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig")
		command.Dir = folder
		return command.CombinedOutput()
	}
	if said, err := openssl(); err != nil {
		t.Errorf("openssl: %v\n%s", err, said)
	}
	if ok := run(t, "", nil, "par", "verify", "--issuer", issuer.Public(), path("SHA256SUMS")); ok.code != 0 ||
		!strings.Contains(ok.out, "was signed by "+issuer.Public()) {
		t.Errorf("verify: exit %d, %s%s", ok.code, ok.out, ok.err)
	}

	other, err := par.NewKey(par.RoleAccount)
	if err != nil {
		t.Fatal(err)
	}
	if bad := run(t, "", nil, "par", "verify", "--issuer", other.Public(), path("SHA256SUMS")); bad.code != exitFailure ||
		!strings.Contains(bad.err, "the signature is not the issuer's") {
		t.Errorf("by another: exit %d, %s%s", bad.code, bad.out, bad.err)
	}
	if none := run(t, "", nil, "par", "verify", path("SHA256SUMS")); none.code != exitUsage ||
		!strings.Contains(none.err, "--issuer is needed") {
		t.Errorf("without an issuer: exit %d, %s%s", none.code, none.out, none.err)
	}
	if err := os.WriteFile(path("SHA256SUMS"), []byte("0124  x.par.gz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if bad := run(t, "", nil, "par", "verify", "--issuer", issuer.Public(), path("SHA256SUMS")); bad.code != exitFailure {
		t.Errorf("a changed file: exit %d, %s%s", bad.code, bad.out, bad.err)
	}
	if said, err := openssl(); err == nil {
		t.Errorf("openssl takes a changed file: %s", said)
	}
}
