package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// archive is the provider as its users get it, made once for all tests of a package: built, and packed by its own
// command.
var archive struct {
	once sync.Once
	dir  string
	err  error
}

// ProviderArchive packs the provider, once for the package's tests, and returns the path of the archive.
func ProviderArchive(t testing.TB) string {
	t.Helper()
	archive.once.Do(func() {
		archive.dir, archive.err = makeArchive(Program(t))
		AtExit(t, func() error { return os.RemoveAll(archive.dir) })
	})
	if archive.err != nil {
		t.Fatal(archive.err)
	}
	return filepath.Join(archive.dir, "messaging-kafka.par")
}

func makeArchive(program string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "messaging-kafka-test-"); err != nil {
		return "", fmt.Errorf("packing the provider: %w", err)
	}
	pack := exec.Command(program, "par", "--out", filepath.Join(dir, "messaging-kafka.par"),
		"--issuer-key", filepath.Join(dir, "issuer.nk"), "--subject-key", filepath.Join(dir, "provider.nk"))
	if out, err := pack.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("packing the provider: %w: %s", err, out)
	}
	return dir, nil
}
