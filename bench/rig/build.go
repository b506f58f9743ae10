package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Run runs a command in the project's folder and returns the first line of what it printed.
func Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s %s: %v: %s", program, strings.Join(args, " "), err, errOut.String())
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// Build builds a program of the project as its users get it, without symbols, and returns its path.
func Build(t testing.TB, path string, tags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(path))
	tags = append(tags, "grpcnotrace") // as the Makefile has it
	Run(t, "go", "build", "-trimpath", "-buildvcs=false", "-tags", strings.Join(tags, ","), "-ldflags", "-s -w",
		"-o", binary, path)
	return binary
}

// Version names what is measured, Software what it was measured with.
func Version(t testing.TB) string {
	t.Helper()
	return Run(t, "git", "describe", "--tags", "--always", "--dirty")
}

// Software returns the versions of what takes part in a measurement.
func Software(t testing.TB) map[string]string {
	t.Helper()
	// The go command does not tell tests what they were built of.
	module := func(path string) string { return Run(t, "go", "list", "-m", "-f", "{{.Version}}", path) }
	return map[string]string{
		"go": runtime.Version(), "kafka": testkit.Kafka4, "java": Run(t, "java", "--version"),
		"franz-go": module("github.com/twmb/franz-go"), "nats.go": module("github.com/nats-io/nats.go"),
		"nats-server": module("github.com/nats-io/nats-server/v2"),
	}
}

// Began is the time for a report, and the machine of this moment.
func Began() (time.Time, bench.Machine) {
	return time.Now().UTC().Truncate(time.Second), bench.ThisMachine()
}
