package otlp

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// reporter counts what became of the items of one signal and says in the log, now and then, that it does not go well.
type reporter struct {
	signal signal
	log    *slog.Logger // which must not lead back to the export
	count  func(signal, result string, items int)
	now    func() time.Time

	mu      sync.Mutex
	failing bool      // since said, no export went well
	said    time.Time // when the log last said that exports fail
	unsaid  int       // failed exports since
	items   int       // items lost since the last export that went well
}

// sayEvery bounds the log lines about a collector that does not answer.
const sayEvery = 10 * time.Minute

func newReporter(sig signal, log *slog.Logger, count func(signal, result string, items int)) *reporter {
	return &reporter{signal: sig, log: log.With("signal", sig.String()), count: count, now: time.Now}
}

// outcome is told of each export of some items.
func (r *reporter) outcome(items int, err error) {
	lost := lostOf(items, err)
	r.count(r.signal.String(), "sent", items-lost)
	r.count(r.signal.String(), "lost", lost)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		if r.failing {
			r.failing = false
			r.log.Info("telemetry reaches the OpenTelemetry collector again", "lost", r.items)
		}
		r.items = 0
		return
	}
	r.items += lost
	if now := r.now(); r.said.IsZero() || now.Sub(r.said) >= sayEvery {
		r.log.Warn("telemetry does not reach the OpenTelemetry collector", "error", err, "lost", r.items,
			"unreported", r.unsaid)
		r.said, r.unsaid, r.failing = now, 0, true
	} else {
		r.unsaid++
	}
}

// partly is how the exporters say that a collector took some of what it was sent. The error's type is none of their
// API.
var partly = regexp.MustCompile(`\((\d+) [a-z ]+ rejected\)`)

// lostOf tells how many of the items an export has lost.
func lostOf(items int, err error) int {
	if err == nil {
		return 0
	}
	if match := partly.FindStringSubmatch(err.Error()); match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil {
			return min(n, items)
		}
	}
	return items
}

// troubles says what OpenTelemetry's SDK has to say of itself, such as that some metrics cannot be gathered: the first
// of it, and then some of it now and then.
type troubles struct {
	log *slog.Logger

	mu     sync.Mutex
	said   time.Time
	unsaid int
}

// Handle implements otel.ErrorHandler.
func (t *troubles) Handle(err error) {
	if errors.Is(err, context.Canceled) {
		return // a shutdown cut off what was under way
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.said.IsZero() || now.Sub(t.said) >= sayEvery {
		t.log.Warn("the OpenTelemetry SDK reports an error", "error", err, "unreported", t.unsaid)
		t.said, t.unsaid = now, 0
	} else {
		t.unsaid++
	}
}
