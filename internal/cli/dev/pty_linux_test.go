package dev

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// person is at a terminal.
type person struct {
	t      *testing.T
	keys   *os.File // what is typed goes in here
	tty    *os.File
	screen *testkit.Log
	done   chan struct{} // closed when the run has ended
	err    error         // valid then
}

// sit begins a run at a terminal.
func sit(t *testing.T, ctx context.Context, opts Options) *person {
	t.Helper()
	terminal := testkit.NewTerminal(t)
	tty := terminal.TTY
	p := &person{t: t, keys: terminal.Keys, tty: tty, screen: terminal.Screen, done: make(chan struct{})}
	opts.In, opts.Out, opts.Err, opts.Interactive = tty, tty, tty, true
	go func() {
		defer close(p.done)
		p.err = Run(ctx, opts)
	}()
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the screen has something like it.
func (p *person) sees(pattern string) {
	p.t.Helper()
	like := regexp.MustCompile(pattern)
	testkit.Eventually(p.t, testkit.DefaultTimeout, func() error {
		if !like.MatchString(p.screen.String()) {
			select {
			case <-p.done:
				p.t.Fatalf("it ended with %v; no %q on the screen:\n%q", p.err, pattern, p.screen.String())
			default:
			}
			return fmt.Errorf("no %q on the screen:\n%q", pattern, p.screen.String())
		}
		return nil
	})
}

func (p *person) end() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(testkit.DefaultTimeout):
		p.t.Fatalf("it does not end; the screen:\n%q", p.screen.String())
		panic("unreachable")
	}
}

// inOrder checks the end of a run: no error, and a terminal as it was.
func (p *person) inOrder(before *term.State) {
	p.t.Helper()
	if err := p.end(); err != nil {
		p.t.Errorf("it ended with %v", err)
	}
	after, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	if *after != *before {
		p.t.Error("the terminal is not as it was")
	}
}

func TestAPersonTypesLinesAndEndsWithAKey(t *testing.T) {
	for name, key := range map[string]string{"Ctrl-D": "\x04", "Ctrl-C": "\x03", "Ctrl-C within a line": "half\x03"} {
		t.Run(name, func(t *testing.T) {
			p := sit(t, t.Context(), Options{})
			before, err := term.GetState(int(p.tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			p.sees(`Type lines\..*\r\n> `)
			p.types("hello wörld\r")
			p.sees(`wasmcloud\.echo\.reply partition 0 offset 0 \([0-9.]+[mµ]?s\): hello wörld\r\n`)
			p.types("twice\x7f\x7f\r")
			p.sees(`offset 1 \([0-9.]+[mµ]?s\): twi\r\n`)
			p.types("\r")
			p.sees(`offset 2 \([0-9.]+[mµ]?s\): \r\n`)
			p.types("\x1b[200~pasted one\rpasted two\r\x1b[201~")
			p.sees(`offset 3 .*: pasted one\r\n`)
			p.sees(`offset 4 .*: pasted two\r\n`)
			p.types(key)
			p.inOrder(before)
		})
	}
}

func TestATerminalIsGivenBackWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := sit(t, ctx, Options{})
	before, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	p.sees(`\r\n> `)
	cancel()
	p.inOrder(before)
}

func TestAPersonIsToldOfAMissingEchoAndGoesOn(t *testing.T) {
	cluster := testkit.Kfake(t)
	starve(cluster)
	p := sit(t, t.Context(), Options{Hosts: cluster.Brokers()[0], EchoTimeout: 2 * time.Second})
	before, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	p.sees(`\r\n> `)
	p.types("lost\r")
	p.sees(`no echo within 2s of line 1\r\n`)
	p.types("lost too\r")
	p.sees(`no echo within 2s of line 2\r\n`)
	p.types("\x04")
	p.inOrder(before)
}

// At a prompt, what comes in between must not be mixed with what is being typed.
func TestWhatComesInBetweenLeavesTheTypedLineAlone(t *testing.T) {
	cluster := testkit.Kfake(t)
	p := sit(t, t.Context(), Options{Hosts: cluster.Brokers()[0]})
	p.sees(`\r\n> `)
	p.types("half ")
	p.sees(`> half `)
	client := testkit.NewClient(t, cluster.Brokers())
	client.ProduceText(Topic, "from elsewhere")
	p.sees(`offset 0 \(not from here\): from elsewhere\r\n> half `)
	p.types("a line\r\x04")
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	if values := client.Read(ReplyTopic, 2); string(values[1].Value) != "half a line" {
		t.Errorf("the line that was sent is %q", values[1].Value)
	}
}
