package simulation

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// events is all that happens in a run, in its order: what the world does, what the copies log. It is the same for the
// same seed to the byte where goroutines run in an order that the seed fixes.
type events struct {
	began time.Time

	mu    sync.Mutex
	lines []string // each with its level before it
}

func (e *events) add(level byte, line string) {
	at := time.Since(e.began)
	line = fmt.Sprintf("%c %4d:%02d.%06d  %s", level, int(at.Minutes()), int(at.Seconds())%60, at.Microseconds()%1e6, line)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, line)
}

// told are the lines of a level.
func (e *events) told(level byte) (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if line[0] == level {
			lines = append(lines, line[2:])
		}
	}
	return lines
}

// write writes everything to where the environment says.
func (e *events) write() error {
	path := os.Getenv(logFile)
	if path == "" {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return os.WriteFile(path, []byte(strings.Join(e.lines, "\n")+"\n"), 0o600)
}

// Write implements io.Writer, for what copies log: one line each time.
func (e *events) Write(p []byte) (int, error) {
	line := strings.TrimSuffix(string(p), "\n")
	level := byte(replay.Detail)
	if strings.HasPrefix(line, "level=WARN") || strings.HasPrefix(line, "level=ERROR") {
		level = replay.Warning
	}
	e.add(level, line)
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

// tell adds a line to the story.
func (w *world) tell(format string, args ...any) {
	w.events.add(replay.Story, fmt.Sprintf(format, args...))
}

// fail tells that an invariant does not hold.
func (w *world) fail(invariant, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.tell("%s does not hold: %s", invariant, text)
	w.t.Errorf("%s: %s", invariant, text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, replay.Failure{Invariant: invariant, Text: text})
}

// failed tells whether an invariant does not hold.
func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures) > 0
}

// result is what came of the run.
func (w *world) result() replay.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := replay.Result{
		Failures: w.failures, Simulated: time.Since(w.events.began), Kinds: make(map[string]int), Settings: w.plan.drawn,
		Records: w.plan.records, Copies: w.plan.copies, Calls: len(w.guest.calls), Trouble: w.plan.trouble,
	}
	for _, e := range w.plan.all {
		r.Events, r.At = append(r.Events, e.number), append(r.At, e.at)
	}
	for _, e := range w.plan.events {
		r.Kinds[e.what]++
	}
	r.Injected = covered.injected()
	return r
}

// The levels of lines are where those who read them look.
func TestEventsKnowTheirLevel(t *testing.T) {
	e := &events{began: time.Now()}
	e.add(replay.Story, "a fault")
	log := e.logger()
	log.Debug("a detail")
	log.Warn("a warning", "n", 1)
	for level, want := range map[byte]string{replay.Story: "a fault", replay.Detail: "a detail", replay.Warning: "n=1"} {
		if got := e.told(level); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("level %c has %q, want one line with %q", level, got, want)
		}
	}
}
