package dispatch

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
)

// probing is the time between two calls while no component can be reached. One call probes at a time.
var probing = backoff.Backoff{First: 50 * time.Millisecond, Most: time.Second}

// Probe is the wait after so many calls in a row that nobody took, and no shorter than after, within bounds.
func Probe(calls int, after time.Duration) time.Duration {
	return max(probing.After(calls), Bounded(after))
}

// gate keeps records back while no component takes calls, so that a component scaled to zero costs one call a
// second and not one per waiting record. The zero gate is open.
type gate struct {
	// cause is why the gate is closed; nil when it is open.
	cause   error
	since   time.Time
	probes  int       // in vain, the first call included
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

// close notes that a call found no component, and after which time one may, as far as that was said. Calls that were
// under way when the gate closed come back like that too; only a probe says that the component is still away.
func (g *gate) close(now time.Time, cause error, after time.Duration, probe bool) {
	if g.cause == nil || probe {
		if g.cause == nil {
			g.since = now
		} else {
			g.probing = false
		}
		g.probes++
		g.next = now.Add(Probe(g.probes, after))
	} else if next := now.Add(Bounded(after)); next.After(g.next) {
		g.next = next
	}
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
