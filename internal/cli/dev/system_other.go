//go:build !unix

package dev

import (
	"os"
	"os/exec"
)

// lock does nothing: these systems have no lock of the same kind.
func lock(*os.File) error { return nil }

// interruptible reads a file. Where there is no poll, a read that blocks cannot be called off: interrupt returns while
// it is under way, and the process has nothing left to do but to end.
type interruptible struct {
	file    *os.File
	stopped chan struct{}
}

func newInterruptible(file *os.File) (*interruptible, error) {
	return &interruptible{file: file, stopped: make(chan struct{})}, nil
}

func (i *interruptible) interrupt() error {
	close(i.stopped)
	return nil
}

func (i *interruptible) close() error { return nil }

// Read implements io.Reader.
func (i *interruptible) Read(b []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	// A buffer of its own: after an interrupt the read writes into it when b is somebody else's again.
	own, done := make([]byte, len(b)), make(chan result, 1)
	go func() {
		n, err := i.file.Read(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(b, own[:r.n]), r.err
	case <-i.stopped:
		return 0, errInterrupted
	}
}

// apart does nothing: programs get the signals of the terminal as well.
func apart(*exec.Cmd) {}
