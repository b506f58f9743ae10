//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var devLine = regexp.MustCompile(`(?m)^    messaging-kafka dev (--component .*)$`)

// devArgs are the arguments of a call of dev with the programs and shims of this machine.
func devArgs(t *testing.T, shims []string, args ...string) []string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range shims {
		link(t, testkit.ShimWasm(t, name), folder, "shim-"+name+".wasm")
	}
	return append([]string{"dev", "--wasmtime", testkit.Wasmtime(t), "--wac", testkit.Wac(t), "--shims", folder}, args...)
}

// Each example runs by the command of its README.
func TestDevRunsTheExamples(t *testing.T) {
	for name, test := range map[string]struct {
		shims []string
		given string
		want  []string
	}{
		"word-count":   {[]string{"processor"}, "To be, or not to be\n", []string{"key be: 2", "key not: 1", "key or: 1", "key to: 2"}},
		"order-filter": {[]string{"processor"}, `{"total":250}` + "\n{}\n", []string{`orders.dead`, `orders.large`}},
		"enrich":       {[]string{"handler", "producer", "config"}, `{"country":"FR"}` + "\n", []string{`"currency":"EUR"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := devLine.FindStringSubmatch(readFile(t, "examples/"+name+"/README.md"))
			if command == nil {
				t.Fatal("the README has no command for dev")
			}
			words := strings.Fields(command[1])
			words[1] = testkit.ComponentWasm(t, name)
			cmd := exec.Command(testkit.Program(t), devArgs(t, test.shims, words...)...)
			cmd.Stdin = strings.NewReader(test.given)
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it showed no %q, but\n%s\nand said\n%s", want, out.String(), said.String())
				}
			}
		})
	}
}

// A component that is built again is served anew, without a start of the command.
func TestDevWatchesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "component.wasm")
	put := func(name string) {
		content, err := os.ReadFile(testkit.ComponentWasm(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("word-count")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, testkit.Program(t), devArgs(t, []string{"processor"},
		"--component", path, "--watch", "--set", "topic=orders", "--set", "dead_letter_topic=orders.dead")...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, said testkit.Log
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it showed\n%s\nand said\n%s", out.String(), said.String())
		}
	})
	line := func(text string) {
		if _, err := io.WriteString(in, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	line(`word`)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { return contains(&out, "key word: 1") })
	put("order-filter")
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { return contains(&said, "is served\n") })
	line(`{"total":250}`)
	testkit.Eventually(t, testkit.DefaultTimeout, func() error { return contains(&out, "orders.large partition 0") })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// What a component lacks is named.
func TestDevNamesAnImportThatNothingHas(t *testing.T) {
	t.Parallel()
	path := testkit.ComponentWasm(t, "echo")
	out, err := exec.Command(testkit.Program(t), devArgs(t, nil, "--component", path)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "imports wasmcloud:bus/lattice@2.0.0, which nothing here has") {
		t.Errorf("%v: %s", err, out)
	}
	if slices.Contains(strings.Fields(string(out)), "Kafka") {
		t.Errorf("it was started: %s", out)
	}
}

func contains(log *testkit.Log, want string) error {
	if !strings.Contains(log.String(), want) {
		return fmt.Errorf("there is no %q yet", want)
	}
	return nil
}
