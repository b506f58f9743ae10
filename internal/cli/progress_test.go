package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// binaries makes files of different sizes and returns the flags that pack them.
func binaries(t *testing.T) (flags []string) {
	t.Helper()
	for target, size := range map[string]int{"x86_64-linux": 3_000_000, "aarch64-linux": 2_000_000} {
		path := filepath.Join(t.TempDir(), target)
		if err := os.WriteFile(path, []byte(strings.Repeat("binary ", size/7+1)[:size]), 0o755); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--binary", target+"="+path)
	}
	return flags
}

func TestWithoutATerminalEachPackedBinaryIsALine(t *testing.T) {
	folder := t.TempDir()
	args := append([]string{"par", "--out", filepath.Join(folder, "x.par.gz")}, binaries(t)...)
	got := run(t, "", []string{"XDG_CONFIG_HOME=" + folder}, args...)
	if want := "packed aarch64-linux, 2.0 MB\npacked x86_64-linux, 3.0 MB\n"; got.code != 0 || got.err != want {
		t.Errorf("exit %d, standard error %q, want %q", got.code, got.err, want)
	}
}
