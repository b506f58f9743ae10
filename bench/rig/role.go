// Package rig starts what the benchmarks measure as processes of their own, so that each one's CPU time is its own:
// copies of the benchmark's program that play a role instead of running tests.
package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// roleVariable tells a copy of the program what it is to be.
const roleVariable = "MESSAGING_KAFKA_BENCH_ROLE"

// roles are what a copy can be. Each writes one line to out as soon as it can be used, and runs until in ends.
var roles = map[string]func(args []string, in io.Reader, out io.Writer) error{
	"nats":        serveNATS,
	"kfake":       serveKfake,
	"component":   serveComponent,
	"application": serveApplication,
}

// ready says that copies of this program play their roles.
var ready bool

// Main is for the TestMain of each benchmark.
func Main(m *testing.M) {
	ready = true
	role := os.Getenv(roleVariable)
	if role == "" {
		testkit.Main(m)
		return
	}
	serve := roles[role]
	if serve == nil {
		fmt.Fprintf(os.Stderr, "unknown role %q\n", role)
		os.Exit(2)
	}
	if err := serve(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// start starts a copy of this program in a role and returns its process id and the line that it wrote. It ends with
// the test.
func start(t testing.TB, role string, args ...string) (pid int, line string) {
	t.Helper()
	if !ready {
		t.Fatal("hand TestMain to rig.Main: a copy of this program would run its tests, and start copies, without end")
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("starting a %s: %v", role, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("starting a %s: %v", role, err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a %s: %v", role, err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // which is what ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("the %s ended: %v", role, err)
		}
	})
	line, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting a %s: %v", role, err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line)
}

// untilEnd tells the starter that the role can be used, and waits for its end.
func untilEnd(in io.Reader, out io.Writer, line any) error {
	if _, err := fmt.Fprintln(out, line); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}
