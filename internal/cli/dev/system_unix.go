//go:build unix

package dev

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock takes the file for this process; the system gives it back when the file is closed, or the process ends.
func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	return err
}

// interruptible reads a file such that a blocked read can be called off, which no file of standard input offers: it
// looks at the file and at a pipe of its own before it reads.
type interruptible struct {
	file        *os.File
	wake, waker *os.File
}

func newInterruptible(file *os.File) (*interruptible, error) {
	wake, waker, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &interruptible{file: file, wake: wake, waker: waker}, nil
}

// interrupt ends a running read, and all later ones, with [errInterrupted]. It may be called once, by any goroutine.
func (i *interruptible) interrupt() error { return i.waker.Close() }

// close is for when no read runs any more.
func (i *interruptible) close() error { return i.wake.Close() }

// Read implements io.Reader.
func (i *interruptible) Read(b []byte) (int, error) {
	for {
		fds := []unix.PollFd{
			{Fd: int32(i.file.Fd()), Events: unix.POLLIN},
			{Fd: int32(i.wake.Fd()), Events: unix.POLLIN},
		}
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case fds[1].Revents != 0:
			return 0, errInterrupted
		case fds[0].Revents != 0:
			return i.file.Read(b)
		}
	}
}

// apart keeps the signals of the terminal from a program: it is stopped by us, when nothing needs it any more.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
