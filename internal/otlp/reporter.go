package otlp

import (
	"errors"
	"log/slog"
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
	lost := 0
	var p *partial
	switch {
	case errors.As(err, &p):
		lost = min(p.lost, items)
	case err != nil:
		lost = items
	}
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
		r.log.Warn("telemetry does not reach the OpenTelemetry collector", "error", err, "lost", r.items, "unreported", r.unsaid)
		r.said, r.unsaid, r.failing = now, 0, true
	} else {
		r.unsaid++
	}
}
