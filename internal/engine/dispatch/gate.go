package dispatch

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

// knocking is the time between two calls while no component can be reached. One record knocks at a time.
var knocking = backoff.Backoff{First: 50 * time.Millisecond, Most: time.Second}

// gate keeps records back while no component takes calls, so that a component scaled to zero costs one knock a
// second and not one per waiting record. The zero gate is open.
type gate struct {
	// cause is why the gate is closed; nil when it is open.
	cause   error
	since   time.Time
	knocks  int       // in vain, the first call included
	next    time.Time // when the next probe may go
	probing bool      // a probe is under way
	timer   *time.Timer
}

// admits tells whether a call may start now, and books it as the probe where the gate is closed. wake is called
// later when the answer may have become yes.
func (g *gate) admits(now time.Time, wake func()) bool {
	if g.cause == nil {
		return true
	}
	if g.probing {
		return false
	}
	if wait := g.next.Sub(now); wait > 0 {
		if g.timer == nil {
			g.timer = time.AfterFunc(wait, wake)
		}
		return false
	}
	g.stopTimer()
	g.probing = true
	return true
}

// unused gives back what admits booked for a call that did not start.
func (g *gate) unused() { g.probing = false }

// close notes that a call found no component. Calls that were under way when the gate closed come back like that
// too; only a probe says that the component is still away.
func (g *gate) close(now time.Time, cause error, probe bool) {
	switch {
	case g.cause == nil:
		g.since = now
	case probe:
		g.probing = false
	default:
		g.cause = cause
		return
	}
	g.knocks++
	g.next = now.Add(knocking.After(g.knocks))
	g.cause = cause
}

// open notes that a component took a call. It reports whether the gate was closed.
func (g *gate) open() bool {
	was := g.cause != nil
	g.stopTimer()
	*g = gate{}
	return was
}

func (g *gate) stopTimer() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}
