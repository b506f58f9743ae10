package testkit

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Logger returns a logger that writes everything, debug included, to the test's own output.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter(t), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// testWriter gives the test's output to writers that may outlive the test by a moment, such as a server's goroutines:
// the testing package panics when a test that has ended is written to.
func testWriter(t testing.TB) io.Writer {
	w := &guardedWriter{out: t.Output()}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.out = io.Discard
	})
	return w
}

type guardedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *guardedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

// Log keeps what is logged to it, for tests that look for a line or for the absence of a secret. The zero value is
// ready, and all methods may be called from any goroutine.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Logger returns a logger that writes everything, debug included, to l.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// String returns all that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Contains tells whether text was written.
func (l *Log) Contains(text string) bool { return strings.Contains(l.String(), text) }

// NeverCut fails the test where tell, which puts a text of somebody else into one of ours, leaves half of a secret that
// stands in it: such a half is known for none by whoever takes secrets out later.
func NeverCut(t testing.TB, tell func(string) string) {
	t.Helper()
	const secret = "Zq7-canary-of-the-route-19"
	shown := 0
	for n := 0; n < 1500; n += len(secret) / 3 { // wherever it is cut, it is cut there for one of these
		said := tell(strings.Repeat("z", n) + secret)
		switch {
		case strings.Contains(said, secret):
			shown++
		case strings.Contains(said, secret[:4]):
			t.Fatalf("behind %d bytes, half of the secret is told: %s", n, said)
		}
	}
	if shown == 0 {
		t.Fatal("nothing of the text is told, however short it is")
	}
}
