//go:build bench

package bench_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// profiler takes profiles of the provider while it works.
type profiler struct {
	address, dir string
}

// newProfiler returns nil, which takes none, without a folder.
func newProfiler(t *testing.T, dir string) *profiler {
	t.Helper()
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return &profiler{address: net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), dir: dir}
}

// take profiles the CPU, then traces the execution, together for about as long as given. What goroutines wait for is
// told by the trace: the profiles of that would cost so much that they falsify the one of the CPU.
func (p *profiler) take(name string, during time.Duration) error {
	seconds := max(1, int(during.Seconds())-1)
	for _, profile := range []struct{ path, file string }{
		{fmt.Sprintf("profile?seconds=%d", seconds), name + ".cpu"},
		{"trace?seconds=0.5", name + ".trace"},
		{"allocs", name + ".allocs"},
	} {
		if err := rig.FetchProfile(p.address, profile.path, filepath.Join(p.dir, profile.file)); err != nil {
			return fmt.Errorf("taking the profile %s: %w", profile.path, err)
		}
	}
	return nil
}
