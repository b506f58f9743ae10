package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Process is the program as a process of its own, which a test may end and start again.
type Process struct {
	t      testing.TB
	binary string
	args   []string
	output Log // of all its lives

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // once ended is closed
}

// StartProcess starts the program, as [Program] builds it, with arguments. It is killed when the test ends.
func StartProcess(t testing.TB, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, binary: Program(t), args: args}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %v:\n%s", args, p.output.String())
		}
	})
	p.Start()
	return p
}

// Start starts the program again, which has ended.
func (p *Process) Start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd, ended := exec.Command(p.binary, p.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting the program: %v", err)
	}
	p.cmd, p.ended, p.err = cmd, ended, nil
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
		close(ended)
	}()
}

func (p *Process) life() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

// PID is the number of the process.
func (p *Process) PID() int {
	cmd, _ := p.life()
	return cmd.Process.Pid
}

// Output is what the program has written so far.
func (p *Process) Output() string { return p.output.String() }

// Exited tells whether the program has ended.
func (p *Process) Exited() bool {
	_, ended := p.life()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// Signal sends the program a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	cmd, _ := p.life()
	if err := cmd.Process.Signal(sig); err != nil {
		p.t.Errorf("signalling the program: %v", err)
	}
}

// Wait waits until the program has ended, and returns how. A program that is still there after patience is killed,
// which is an error, too.
func (p *Process) Wait(patience time.Duration) error {
	_, ended := p.life()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("it was still there after %v", patience)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Kill ends the program at once.
func (p *Process) Kill() {
	cmd, ended := p.life()
	_ = cmd.Process.Kill() // it may have ended
	<-ended
}
