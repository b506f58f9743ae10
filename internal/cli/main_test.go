package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is the built binary: what the tests here are about shows only in a process of its own.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "messaging-kafka-cli-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder) //nolint:errcheck // the system clears what stays
		program = filepath.Join(folder, "messaging-kafka")
		build := exec.Command("go", "build", "-o", program, "-ldflags",
			"-X github.com/messaging-kafka/messaging-kafka/internal/base/version.version=9.8.7 -X github.com/messaging-kafka/messaging-kafka/internal/base/version.commit=0123456789abcdef",
			"github.com/messaging-kafka/messaging-kafka/cmd/messaging-kafka")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

type result struct {
	code     int
	out, err string
}

// run runs the program with input on standard input, in an empty folder and home and with no more than the given
// environment, so that nobody's own keys and times come in.
func run(t *testing.T, input string, environment []string, args ...string) result {
	t.Helper()
	return runOn(t, strings.NewReader(input), environment, args...)
}

func runOn(t *testing.T, in io.Reader, environment []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append([]string{"HOME=" + t.TempDir()}, environment...)
	command.Dir = t.TempDir()
	var out, errOut bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = in, &out, &errOut
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), out.String(), errOut.String()}
}
