package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// onTerminal runs a command with a terminal as its standard error, and returns the exit code and the screen.
func onTerminal(t *testing.T, ctx context.Context, args ...string) (int, string) {
	t.Helper()
	terminal := testkit.NewTerminal(t)
	var out strings.Builder
	code := execute(ctx, args, terminal.TTY, &out, terminal.TTY)
	const end = "the end of the screen"
	if _, err := terminal.TTY.WriteString(end); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !strings.Contains(terminal.Screen.String(), end) {
			return errors.New("the screen has not been read to its end")
		}
		return nil
	})
	return code, terminal.Screen.String()
}

func TestOnATerminalEachBinaryHasABar(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", folder)
	code, screen := onTerminal(t, t.Context(), append([]string{"par", "--out", filepath.Join(folder, "x.par.gz")}, binaries(t)...)...)
	if code != 0 {
		t.Fatalf("exit %d:\n%s", code, screen)
	}
	for _, want := range []string{
		`aarch64-linux +\[=+\] +100 %  2\.0 MB / 2\.0 MB`,
		`x86_64-linux +\[=+\] +100 %  3\.0 MB / 3\.0 MB`,
	} {
		if !regexp.MustCompile(want).MatchString(screen) {
			t.Errorf("no %s on the screen:\n%q", want, screen)
		}
	}
	if strings.Contains(screen, "packed ") {
		t.Errorf("lines among the bars:\n%q", screen)
	}
}

func TestABarOfWhatFailsIsLeftAndTheErrorFollows(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", folder)
	args := append([]string{"par", "--out", filepath.Join(folder, "x.par.gz")}, binaries(t)...)
	empty := filepath.Join(folder, "empty")
	if err := os.WriteFile(empty, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	code, screen := onTerminal(t, t.Context(), append(args, "--binary", "x86_64-windows="+empty)...)
	if code != exitFailure || !strings.Contains(screen, "is empty") {
		t.Errorf("exit %d:\n%q", code, screen)
	}
}
