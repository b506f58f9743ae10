package simulation

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// events is all that happens in a run, in its order: what the world does, what the copies log. It is the same for the
// same seed to the byte where goroutines run in an order that the seed fixes.
type events struct {
	began time.Time

	mu    sync.Mutex
	lines []string
	// story has those lines that a person reads first: the faults, the deeds, the lives of copies.
	story []string
}

func (e *events) stamp(line string) string {
	return fmt.Sprintf("%12s  %s", time.Since(e.began).Round(time.Millisecond), line)
}

// tell adds a line to the story.
func (e *events) tell(line string) {
	line = e.stamp(line)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines, e.story = append(e.lines, line), append(e.story, line)
	if os.Getenv("SIMULATE_TRACE") != "" { // for a run that does not end
		fmt.Fprintln(os.Stderr, line)
	}
}

// Write implements io.Writer, for what copies log: one line each time.
func (e *events) Write(p []byte) (int, error) {
	line := e.stamp(strings.TrimSuffix(string(p), "\n"))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, line)
	return len(p), nil
}

// logger is the log of a copy. The time of a line is that of its event.
func (e *events) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func (w *world) tell(format string, args ...any) { w.events.tell(fmt.Sprintf(format, args...)) }
