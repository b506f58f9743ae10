//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// archive is the provider as its users get it, made once for all tests: built, and packed by its own command.
var archive struct {
	once sync.Once
	dir  string
	err  error
}

// providerArchive returns the path of the provider archive.
func providerArchive(t *testing.T) string {
	t.Helper()
	archive.once.Do(func() {
		archive.dir, archive.err = makeArchive(testkit.Program(t))
		testkit.AtExit(t, func() error { return os.RemoveAll(archive.dir) })
	})
	if archive.err != nil {
		t.Fatal(archive.err)
	}
	return filepath.Join(archive.dir, "messaging-kafka.par")
}

func makeArchive(program string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "messaging-kafka-e2e-"); err != nil {
		return "", fmt.Errorf("packing the provider: %w", err)
	}
	pack := exec.Command(program, "par", "--out", filepath.Join(dir, "messaging-kafka.par"),
		"--issuer-key", filepath.Join(dir, "issuer.nk"), "--subject-key", filepath.Join(dir, "provider.nk"))
	if out, err := pack.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("packing the provider: %w: %s", err, out)
	}
	return dir, nil
}
