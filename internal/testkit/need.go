package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Need is something outside the module that a test cannot do without.
type Need struct {
	// Name says what it is, How how to get it.
	Name, How string
	// Check returns nil when it is there.
	Check func() error
}

// Tool is a Need for a program on the PATH.
func Tool(program, how string) Need {
	return Need{Name: program, How: how, Check: func() error {
		_, err := exec.LookPath(program)
		return err
	}}
}

// Programs that the scripts below test/ run.
var (
	Java    = Tool("java", "install a JRE, 17 or later (Debian and Ubuntu: apt-get install default-jre-headless)")
	OpenSSL = Tool("openssl", "install OpenSSL (Debian and Ubuntu: apt-get install openssl)")
	Bash    = Tool("bash", "install bash")
)

// Require ends the test when one of needs is missing: as failed where nothing may be left out (in CI, that is with
// CI=true, and with MESSAGING_KAFKA_REQUIRE_ALL=1), else as skipped. Either way the text says what is missing and how
// to get it.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	var missing []string
	for _, need := range needs {
		if err := need.Check(); err != nil {
			missing = append(missing, fmt.Sprintf("%s is missing (%v): %s", need.Name, err, need.How))
		}
	}
	if len(missing) == 0 {
		return
	}
	text := strings.Join(missing, "; ")
	if requireAll() {
		t.Fatalf("%s (nothing may be left out here: CI or MESSAGING_KAFKA_REQUIRE_ALL is set)", text)
	}
	t.Skip(text)
}

func requireAll() bool {
	for _, name := range []string{"CI", "MESSAGING_KAFKA_REQUIRE_ALL"} {
		// A value that is no boolean counts as set: it was meant to say something.
		if v := os.Getenv(name); v != "" {
			if on, err := strconv.ParseBool(v); err != nil || on {
				return true
			}
		}
	}
	return false
}

// exitMissing is the status with which the scripts below test/ end when a tool that they need is not installed.
const exitMissing = 3

// errMissingTool is a script's word that a tool is not installed.
type errMissingTool struct{ text string }

func (e errMissingTool) Error() string { return e.text }

// runScript runs a script of the project by its path in it and returns its standard output without the line end.
// The error is an errMissingTool when the script says that a tool is missing.
func runScript(env []string, path string, args ...string) (string, error) {
	root, err := ProjectRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(root, filepath.FromSlash(path)), args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(errOut.String())
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitMissing {
			return "", errMissingTool{text}
		}
		return "", fmt.Errorf("running %s %s: %w: %s", path, strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(out.String()), nil
}

// requireScript is runScript for a test: a missing tool skips the test or fails it as [Require] does, anything else
// that goes wrong fails it.
func requireScript(t testing.TB, env []string, path string, args ...string) string {
	t.Helper()
	out, err := runScript(env, path, args...)
	if missing := (errMissingTool{}); errors.As(err, &missing) {
		Require(t, Need{Name: "something that " + path + " needs", How: "see there",
			Check: func() error { return missing }})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ProjectRoot returns the folder of the project's go.mod, from wherever below it a test runs: from a module for tests
// alone, too, which has a go.mod of its own.
func ProjectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the project's folder: %w", err)
	}
	for {
		_, module := os.Stat(filepath.Join(dir, "go.mod"))
		_, program := os.Stat(filepath.Join(dir, "cmd", "messaging-kafka"))
		if module == nil && program == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("finding the project's folder: no go.mod beside cmd/messaging-kafka above the working directory")
		}
		dir = up
	}
}
