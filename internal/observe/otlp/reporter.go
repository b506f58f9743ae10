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

	mu         sync.Mutex
	failing    bool      // since said, no export went well
	reportedAt time.Time // when the log last said that exports fail
	unreported int       // failed exports since
	items      int       // items lost since the last export that went well
}

// reportEvery bounds the log lines about a collector that does not answer.
const reportEvery = 10 * time.Minute

func newReporter(sig signal, log *slog.Logger, count func(signal, result string, items int)) *reporter {
	return &reporter{signal: sig, log: log.With("signal", sig.String()), count: count, now: time.Now}
}

// outcome hears of each export of some items.
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
	if now := r.now(); r.reportedAt.IsZero() || now.Sub(r.reportedAt) >= reportEvery {
		r.log.Warn("telemetry does not reach the OpenTelemetry collector", "error", err, "lost", r.items,
			"unreported", r.unreported)
		r.reportedAt, r.unreported, r.failing = now, 0, true
	} else {
		r.unreported++
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

// sdkErrors says what OpenTelemetry's SDK has to say of itself, such as that some metrics cannot be gathered: the first
// of it, and then some of it now and then.
type sdkErrors struct {
	log *slog.Logger

	mu         sync.Mutex
	reportedAt time.Time
	unreported int
}

// Handle implements otel.ErrorHandler.
func (t *sdkErrors) Handle(err error) {
	if errors.Is(err, context.Canceled) {
		return // a shutdown cut off what was under way
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.reportedAt.IsZero() || now.Sub(t.reportedAt) >= reportEvery {
		t.log.Warn("the OpenTelemetry SDK reports an error", "error", err, "unreported", t.unreported)
		t.reportedAt, t.unreported = now, 0
	} else {
		t.unreported++
	}
}
