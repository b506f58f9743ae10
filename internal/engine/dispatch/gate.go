package dispatch

import (
	"errors"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// probing is the time between two calls while no component can be reached. One call probes at a time.
var probing = backoff.Backoff{First: 50 * time.Millisecond, Most: time.Second}

// Probe is the wait after so many calls in a row that nobody took, and no shorter than after, within bounds.
func Probe(calls int, after time.Duration) time.Duration {
	return max(probing.After(calls), Bounded(after))
}

// Hold is why records are held since nobody takes them, and since when. The zero Hold holds none.
type Hold struct {
	// Cause is nil where nothing is held.
	Cause error
	// Since is when the hold began, CauseSince when it came to be for this cause.
	Since, CauseSince time.Time
}

// Because notes that nobody took a call.
func (h *Hold) Because(cause error, now time.Time) {
	if h.Cause == nil {
		h.Since = now
	}
	if h.Cause == nil || !sameCause(h.Cause, cause) {
		h.CauseSince = now
	}
	h.Cause = cause
}

// sameCause tells whether an operator would call two causes one. What is said with a refusal may differ each time.
func sameCause(a, b error) bool {
	first, isFirst := errors.AsType[*record.Refusal](a)
	second, isSecond := errors.AsType[*record.Refusal](b)
	if isFirst || isSecond {
		return isFirst && isSecond && first.Reason == second.Reason
	}
	return a.Error() == b.Error()
}

// gate keeps records back while no component takes calls, so that a component scaled to zero costs one call a
// second and not one per waiting record. The zero gate is open.
type gate struct {
	hold    Hold      // why the gate is closed
	probes  int       // in vain, the first call included
	next    time.Time // when the next probe may go
	probing bool      // a probe is under way
	timer   *time.Timer
}

func (g *gate) closed() bool { return g.hold.Cause != nil }

// admits tells whether a call may start now, and books it as the probe where the gate is closed. wake is called
// later when the answer may have become yes.
func (g *gate) admits(now time.Time, wake func()) bool {
	if !g.closed() {
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
	if !g.closed() || probe {
		if g.closed() {
			g.probing = false
		}
		g.probes++
		g.next = now.Add(Probe(g.probes, after))
	} else if next := now.Add(Bounded(after)); next.After(g.next) {
		g.next = next
	}
	g.hold.Because(cause, now)
}

// open notes that a component took a call. It reports whether the gate was closed.
func (g *gate) open() bool {
	was := g.closed()
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
