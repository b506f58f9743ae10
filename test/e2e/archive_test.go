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
		archive.dir, archive.err = makeArchive()
		testkit.AtExit(t, func() error { return os.RemoveAll(archive.dir) })
	})
	if archive.err != nil {
		t.Fatal(archive.err)
	}
	return filepath.Join(archive.dir, "messaging-kafka.par")
}

func makeArchive() (dir string, err error) {
	root, err := testkit.ProjectRoot()
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "messaging-kafka-e2e-"); err != nil {
		return "", fmt.Errorf("packing the provider: %w", err)
	}
	binary := filepath.Join(dir, "messaging-kafka")
	for _, args := range [][]string{
		{"go", "build", "-o", binary, "./cmd/messaging-kafka"},
		{binary, "par", "--out", binary + ".par", "--issuer-key", filepath.Join(dir, "issuer.nk"), "--subject-key", filepath.Join(dir, "provider.nk")},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("running %v: %w: %s", args, err, out)
		}
	}
	return dir, nil
}
