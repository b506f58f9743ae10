package rig

import (
	"path/filepath"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
)

// Archive packs the provider as its users get it or, where an address for profiles is given, the one that serves them
// there.
func Archive(t testing.TB, profiles string) string {
	t.Helper()
	dir := t.TempDir()
	tool, archive := filepath.Join(dir, "messaging-kafka"), filepath.Join(dir, "messaging-kafka.par")
	Run(t, "go", "build", "-trimpath", "-o", tool, "./cmd/messaging-kafka")
	args := []string{"par", "--out", archive, "--issuer-key", filepath.Join(dir, "issuer.nk"), "--subject-key",
		filepath.Join(dir, "provider.nk")}
	if profiles != "" {
		profiled := filepath.Join(dir, "profiled")
		Run(t, "go", "build", "-trimpath", "-ldflags", "-X main.address="+profiles, "-o", profiled, "./bench/provider")
		target, err := par.ThisTarget()
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--binary", target+"="+profiled)
	}
	Run(t, tool, args...)
	return archive
}
