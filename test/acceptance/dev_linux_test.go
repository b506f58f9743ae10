//go:build acceptance

package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// person runs dev at a terminal.
type person struct {
	t        *testing.T
	terminal *testkit.Terminal
	before   *term.State
	exited   chan struct{}
	err      error // once it has exited
	seen     int   // what of the screen has been looked at
}

func sit(t *testing.T, args []string) *person {
	t.Helper()
	p := &person{t: t, terminal: testkit.NewTerminal(t), exited: make(chan struct{})}
	var err error
	if p.before, err = term.GetState(int(p.terminal.TTY.Fd())); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testkit.Program(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.terminal.TTY, p.terminal.TTY, p.terminal.TTY
	// The terminal is its own: it gets the signals of its keys.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // where it has not ended by itself
		<-p.exited
		if t.Failed() {
			t.Logf("the screen:\n%s", p.terminal.Screen.String())
		}
	})
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.terminal.Keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the screen has something like each of these, in any order, behind what was seen before: what comes
// by different ways, such as topics, may come one before the other.
func (p *person) sees(patterns ...string) {
	p.t.Helper()
	likes := make([]*regexp.Regexp, len(patterns))
	for i, pattern := range patterns {
		likes[i] = regexp.MustCompile(pattern)
	}
	testkit.Eventually(p.t, 4*testkit.DefaultTimeout, func() error {
		screen := p.terminal.Screen.String()[p.seen:]
		end := 0
		for _, like := range likes {
			at := like.FindStringIndex(screen)
			if at == nil {
				select {
				case <-p.exited:
					p.t.Fatalf("it ended with %v; no %q on the screen", p.err, like)
				default:
				}
				return fmt.Errorf("no %q on the screen", like)
			}
			end = max(end, at[1])
		}
		p.seen += end
		return nil
	})
}

// ends types a key, and waits for the end: with a terminal as it was, and this exit status.
func (p *person) ends(key string, status int) {
	p.t.Helper()
	p.types(key)
	select {
	case <-p.exited:
	case <-time.After(4 * testkit.DefaultTimeout):
		p.t.Fatal("it does not end")
	}
	code := 0
	if exit, is := errors.AsType[*exec.ExitError](p.err); is {
		code = exit.ExitCode()
	} else if p.err != nil {
		p.t.Fatal(p.err)
	}
	if code != status {
		p.t.Errorf("it ended with %d, want %d", code, status)
	}
	after, err := term.GetState(int(p.terminal.TTY.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	if *after != *p.before {
		p.t.Error("the terminal is not as it was")
	}
}

// TestDevRunsTheExamplesAtATerminal, by the commands of their READMEs: a person types lines and sees what comes of
// them, also from a component that was built again.
func TestDevRunsTheExamplesAtATerminal(t *testing.T) {
	for name, test := range map[string]struct {
		shims     []string
		typed     string
		sees      []string
		next      string // another component, that takes the place of the example
		typedNext string
		seesNext  string
	}{
		"word-count": {
			[]string{"processor"}, "To be\r", []string{`texts\.words .*key to: 1\r\n`},
			"order-filter", "{\"total\":250}\r", `\.large .*\{"total":250\}\r\n`,
		},
		"order-filter": {
			[]string{"processor"}, "{\"total\":250}\r{}\r",
			[]string{`orders\.large .*\{"total":250\}\r\n`, `orders\.dead .*: \{\}\r\n`},
			"word-count", "To be\r", `\.words .*key to: 1\r\n`,
		},
		"enrich": {
			[]string{"handler", "producer", "config"}, "{\"country\":\"FR\"}\r", []string{`"currency":"EUR"`},
			"enrich", "{\"country\":\"FR\"}\r", `"currency":"EUR"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := devLine.FindStringSubmatch(readFile(t, "examples/"+name+"/README.md"))
			if command == nil {
				t.Fatal("the README has no command for dev")
			}
			path := filepath.Join(t.TempDir(), name+".wasm")
			build := func(name string) time.Time {
				content, err := os.ReadFile(testkit.ComponentWasm(t, name))
				if err == nil {
					err = os.WriteFile(path, content, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				return time.Now()
			}
			build(name)
			words := strings.Fields(command[1])
			words[1] = path
			p := sit(t, devArgs(t, test.shims, append(words, "--watch")...))
			p.sees(`Each line goes to [a-z]+; .* Ctrl-D ends\.`)
			p.sees(`\r\n> `)
			p.types(test.typed)
			p.sees(test.sees...)
			built := build(test.next)
			p.sees(`the new \S+ is served`)
			t.Logf("an edit was live %s after the build", time.Since(built).Round(time.Millisecond))
			p.types(test.typedNext)
			p.sees(test.seesNext)
			p.ends("\x04", 0)
		})
	}
}

// TestDevNamesWhatIsWrongWithAComponent: one that traps, one that hangs, one that is missing an import, also when it is
// built while the command runs.
func TestDevNamesWhatIsWrongWithAComponent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mine.wasm")
	build := func(name string) {
		content, err := os.ReadFile(testkit.ComponentWasm(t, name))
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	build("records-echo")
	shims := []string{"processor", "handler", "producer", "messaging", "consumer"}
	p := sit(t, devArgs(t, shims, "--component", path, "--watch", "--set", "topic=orders", "--set", "handle_timeout=7s",
		"--set", "max_attempts=1", "--set", "dead_letter_topic=orders.dead"))
	p.sees(`Each line goes to orders; `)
	p.types("!trap\r")
	p.sees(`mine\.wasm trapped: wasm .unreachable. instruction executed\r\n`,
		`orders\.dead .*\(the application answers 500 .*\): !trap\r\n`)
	p.types("!sleep:60000:x\r")
	p.sees(`mine\.wasm has been at work on a call for 5s\r\n`,
		`orders\.dead .*\(no answer came within handle_timeout \(7s\)\): !sleep:60000:x\r\n`)
	build("echo")
	p.sees(`the new \S+mine\.wasm is not served: .*imports wasmcloud:bus/lattice@2\.0\.0, which nothing here has`)
	p.types("still here\r")
	p.sees(`orders\.out .*: still here\r\n`)
	p.ends("\x04", 0)
}
