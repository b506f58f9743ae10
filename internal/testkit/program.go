package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the program, built once for all tests of a package.
var built struct {
	once sync.Once
	path string
	err  error
}

// Program builds the program that is tested, once for the package's tests, and returns its path.
func Program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		root, err := ProjectRoot()
		if err != nil {
			built.err = err
			return
		}
		dir, err := os.MkdirTemp("", "messaging-kafka-test-")
		if err != nil {
			built.err = err
			return
		}
		AtExit(t, func() error { return os.RemoveAll(dir) })
		built.path = filepath.Join(dir, "messaging-kafka")
		build := exec.Command("go", "build", "-o", built.path, "./cmd/messaging-kafka")
		build.Dir = root // whose go.mod has what the program needs
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}
