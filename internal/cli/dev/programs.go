package dev

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

const (
	// composeTimeout bounds one call of wac, serveTimeout the start of what is served, which compiles the component.
	composeTimeout = time.Minute
	serveTimeout   = 2 * time.Minute
	// maxOutputLine bounds a line of what a component writes.
	maxOutputLine = 64 << 10
)

// findProgram finds a program by its name or path, and puts its path in place of that.
func findProgram(path *string, name, how string) error {
	if *path == "" {
		*path = name
	}
	found, err := exec.LookPath(*path)
	if err != nil {
		return fmt.Errorf("%w: it takes %s, which is not there: %w (%s)", ErrComponent, name, err, how)
	}
	*path = found
	return nil
}

// runProgram runs a program to its end. What it said is in the error.
func runProgram(ctx context.Context, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, composeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the person at the terminal named it
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// serving is wasmtime with a component, at an address that stays the same.
type serving struct {
	screen   *screen
	name     string // of the component
	wasmtime string
	address  string
	env      []string
	cancel   context.CancelFunc // ends the process; nil while there was none
	exited   chan struct{}      // closed when it has ended
	err      error              // how; valid once exited is closed
}

// freeAddress is an address of the loopback at which nobody listens.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", DefaultAdmin)
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close() // nobody was served by it
	return l.Addr().String(), nil
}

// start serves a component, and returns when it can be asked.
func (s *serving) start(ctx context.Context, component string) error {
	args := []string{"serve", "--addr", s.address, "-S", "cli"}
	for _, variable := range s.env {
		args = append(args, "--env", variable)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(running, s.wasmtime, append(args, component)...) //nolint:gosec // as runProgram
	apart(cmd)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		return fmt.Errorf("starting %s: %w", s.wasmtime, err)
	}
	s.cancel, s.exited = cancel, make(chan struct{})
	copied := make(chan struct{})
	var last tail
	var up atomic.Bool
	go func() {
		defer close(copied)
		s.copyOutput(out, &last)
	}()
	go func() {
		defer close(s.exited)
		err := cmd.Wait()
		_ = in.Close() // never fails
		<-copied
		if err == nil {
			err = errors.New("it ended by itself")
		}
		s.err = fmt.Errorf("%w: %s", err, last.text())
		if up.Load() && running.Err() == nil {
			s.screen.warn("%s is served no more: wasmtime: %v. Its records wait; start the command again\n", s.name, s.err)
		}
	}()
	err := s.await(ctx)
	up.Store(err == nil)
	return err
}

// await waits until the component can be asked.
func (s *serving) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	dialer := net.Dialer{}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("wasmtime: %w", s.err)
		default:
		}
		if !backoff.Sleep(ctx, 20*time.Millisecond) {
			s.stop()
			return fmt.Errorf("wasmtime does not listen: %w", context.Cause(ctx))
		}
	}
}

// stop ends the process, if there is one, and waits for it.
func (s *serving) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.exited
}

// copyOutput shows what the component and its host write, line by line.
func (s *serving) copyOutput(from io.Reader, last *tail) {
	lines := bufio.NewReaderSize(from, maxOutputLine)
	for {
		part, err := lines.ReadSlice('\n')
		if text := bytes.TrimRight(part, "\r\n"); len(text) > 0 {
			tell := s.screen.warn
			if bytes.HasPrefix(text, []byte("Serving HTTP on ")) { // wasmtime's own word
				tell = s.screen.say
			}
			tell("component | %s\n", appendPrintable(nil, text, maxShown))
			last.add(string(text))
			if trap := trapOf(string(text)); trap != "" {
				s.screen.say("%s trapped: %s\n", s.name, appendPrintable(nil, []byte(trap), maxShown))
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// tail has the last lines of an output. It is for one goroutine at a time.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	const most, longest = 6, 400
	if len(line) > longest {
		line = line[:longest] + "…"
	}
	if t.lines = append(t.lines, line); len(t.lines) > most {
		t.lines = t.lines[1:]
	}
}

func (t *tail) text() string {
	if len(t.lines) == 0 {
		return "it said nothing"
	}
	return strings.Join(t.lines, "; ")
}
