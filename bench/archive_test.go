//go:build bench

package bench_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"messaging-kafka/internal/par"
	"messaging-kafka/internal/testkit"
)

// makeArchive packs the provider as its users get it or, where an address for profiles is given, the one that serves
// them there.
func makeArchive(t *testing.T, root, profiles string) string {
	t.Helper()
	dir := t.TempDir()
	tool, archive := filepath.Join(dir, "messaging-kafka"), filepath.Join(dir, "messaging-kafka.par")
	run(t, root, "go", "build", "-trimpath", "-o", tool, "./cmd/messaging-kafka")
	args := []string{"par", "--out", archive, "--issuer-key", filepath.Join(dir, "issuer.nk"), "--subject-key", filepath.Join(dir, "provider.nk")}
	if profiles != "" {
		profiled := filepath.Join(dir, "profiled")
		run(t, root, "go", "build", "-trimpath", "-ldflags", "-X main.address="+profiles, "-o", profiled, "./bench/provider")
		target, err := par.ThisTarget()
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--binary", target+"="+profiled)
	}
	run(t, root, tool, args...)
	return archive
}

// run runs a command in a folder and returns the first line of what it printed.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s %s: %v: %s", program, strings.Join(args, " "), err, errOut.String())
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

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
		if err := p.fetch(profile.path, filepath.Join(p.dir, profile.file)); err != nil {
			return fmt.Errorf("taking the profile %s: %w", profile.path, err)
		}
	}
	return nil
}

func (p *profiler) fetch(path, file string) error {
	client := http.Client{Timeout: 5 * time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + p.address + "/debug/pprof/" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answers %s", resp.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
