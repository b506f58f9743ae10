package testkit

import (
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a terminal for a program under test.
type Terminal struct {
	Keys   *os.File // what is typed goes in here
	TTY    *os.File // what the program has as its standard input, output and error
	Screen *Log     // all that was written to TTY, line ends as "\r\n"
}

// NewTerminal returns a terminal of 80 columns that lasts as long as the test. A machine that gives none skips it.
func NewTerminal(t testing.TB) *Terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this machine gives no terminal: %v", err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	terminal := &Terminal{Keys: keys, TTY: tty, Screen: new(Log)}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		// It ends with an error when the other side is closed.
		_, _ = io.Copy(terminal.Screen, keys)
	}()
	t.Cleanup(func() { _ = tty.Close(); <-watched })
	return terminal
}
