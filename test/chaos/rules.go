package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Check holds the ledger against every rule.
func (l *Ledger) Check() []ledger.Row {
	return []ledger.Row{
		l.lost(), l.strangers(), l.orderOverall(), l.orderWithin(), l.together(), l.duplicates(), l.lag(),
		l.deadLetters(), l.leftBehind(),
	}
}

// lost: every record that Kafka acknowledged was finished at least once.
func (l *Ledger) lost() ledger.Row {
	finished := l.verdicts()
	var broken ledger.Breaches
	for _, id := range ledger.SortedIDs(l.Produced) {
		if _, ok := finished[id]; !ok {
			broken.Add(func() string {
				return fmt.Sprintf("%v at %v was neither done nor dead-lettered%s", id, l.Produced[id], l.story(id))
			})
		}
	}
	return ledger.Never("1 records lost", broken)
}

// strangers: the component and the dead-letter topic got nothing but what was produced, from nobody but the copies.
func (l *Ledger) strangers() ledger.Row {
	return ledger.Never("1 records and callers that nobody knows", ledger.Each(l.Strangers))
}

// orderOverall: of a key, no record is begun before its predecessor was finished by whomever. It needs no notion of
// ownership: whoever begins a record either finished its predecessor himself or took over from one who did.
func (l *Ledger) orderOverall() ledger.Row {
	finished := l.verdicts()
	var broken ledger.Breaches
	for i := range l.Calls {
		c := &l.Calls[i]
		if c.ID.Seq == 1 {
			continue
		}
		before := ledger.ID{Key: c.ID.Key, Seq: c.ID.Seq - 1}
		if at, ok := finished[before]; !ok || c.Begin.Before(at) {
			broken.Add(func() string {
				return fmt.Sprintf("%v was begun by %v at %s before %v was finished%s%s",
					c.ID, c.Life, clock(c.Begin), before, l.story(before), l.story(c.ID))
			})
		}
	}
	return ledger.Never("2 records begun before their predecessor's verdict", broken)
}

// orderWithin: within one ownership of a partition, the calls of a key are one after another, each record is the
// successor of the one before or another attempt at it, a successor follows only on a verdict, and another attempt only
// where there was none.
func (l *Ledger) orderWithin() ledger.Row {
	type line struct {
		tenure
		key int
	}
	finished := l.verdicts()
	last := make(map[line]*Call)
	var broken ledger.Breaches
	for i := range l.Calls {
		c := &l.Calls[i]
		t := l.tenure(c)
		if t.nth == 0 {
			broken.Add(func() string {
				return fmt.Sprintf("%v was begun by %v at %s, which did not own partition %d", c.ID, c.Life, clock(c.Begin),
					t.partition)
			})
			continue
		}
		before := last[line{t, c.ID.Key}]
		last[line{t, c.ID.Key}] = c
		if before == nil {
			continue
		}
		why := ""
		until, _ := l.inside(before)
		at, ok := finished[before.ID]
		switch step := c.ID.Seq - before.ID.Seq; {
		case c.Begin.Before(until):
			why = "while that was still under way"
		case step < 0:
			why = "which is a step back"
		case step > 1:
			why = "which leaves out what is between"
		case step == 1 && (!ok || c.Begin.Before(at)):
			why = "which had no verdict yet"
		case step == 0 && before.Answer == Done && !l.answerLost(before, c.Begin):
			why = "though that was done and nothing had kept the answer away"
		default:
			continue
		}
		broken.Add(func() string {
			return fmt.Sprintf("%v was begun by %v at %s after %v, %s%s%s",
				c.ID, c.Life, clock(c.Begin), before.ID, why, l.story(before.ID), l.story(c.ID))
		})
	}
	return ledger.Never("2 calls out of order within one ownership", broken)
}

// answerLost tells whether the answer of a call may have been lost on its way to the caller before a time: the caller's
// connection was, or the component went to 0, in between.
func (l *Ledger) answerLost(c *Call, before time.Time) bool {
	if !l.heard(c) {
		return true
	}
	between := func(t time.Time) bool { return !t.Before(c.Begin) && t.Before(before) }
	for _, off := range l.Lives[c.Life].Offline {
		if between(off.From) {
			return true
		}
	}
	return slices.ContainsFunc(l.Restarts, between)
}

// together: no two calls are inside one record at the same time. A call that its caller was gone from is not inside
// any more from that moment on; where the component was still at work on it when the next one began, it is counted
// by the cause. See [Ledger.gone].
func (l *Ledger) together() ledger.Row {
	excused := make(map[Cause]int)
	var broken ledger.Breaches
	calls := l.byRecord()
	for _, id := range ledger.SortedIDs(calls) {
		for i, c := range calls[id] {
			for _, next := range calls[id][i+1:] {
				if !c.End.IsZero() && !next.Begin.Before(c.End) {
					continue
				}
				if until, cause := l.inside(c); next.Begin.Before(until) {
					broken.Add(func() string {
						return fmt.Sprintf("%v at %v: %v came at %s while %v was inside%s",
							id, l.Produced[id], next.Life, clock(next.Begin), c.Life, l.story(id))
					})
				} else {
					excused[cause]++
				}
			}
		}
	}
	row := ledger.Never("3 calls inside one record at once", broken)
	var parts []string
	for _, cause := range Causes {
		parts = append(parts, fmt.Sprintf("%s %d", cause, excused[cause]))
	}
	row.Found += " (besides, the caller gone: " + strings.Join(parts, ", ") + ")"
	return row
}

// duplicates: a record is done again only where a copy could not commit or hear that it was done: for each partition
// that got another owner, and for each loss of the lattice or of the component, at most as many as can be in flight.
func (l *Ledger) duplicates() ledger.Row {
	dones := 0
	for i := range l.Calls {
		if l.Calls[i].Answer == Done {
			dones++
		}
	}
	finished := 0
	for _, calls := range l.byRecord() {
		if slices.ContainsFunc(calls, func(c *Call) bool { return c.Answer == Done }) {
			finished++
		}
	}
	moves, losses := -len(l.End), len(l.Restarts)*copies(l.Lives)
	for _, h := range l.Lives {
		for _, times := range h.Assigned {
			moves += len(times)
		}
		for _, off := range h.Offline {
			if !off.To.IsZero() { // what never came back is a life that ended, whose partitions moved
				losses++
			}
		}
	}
	extra, bound := dones-finished, l.MaxInFlight*(moves+losses)
	row := ledger.Row{Rule: "4 records done again", Found: fmt.Sprint(extra),
		Allowed: fmt.Sprintf("%d = %d in flight × (%d partitions moved + %d losses of lattice or component)", bound,
			l.MaxInFlight, moves, losses)}
	if extra > bound {
		row.Add(func() string { return fmt.Sprintf("%d are more than %d", extra, bound) })
	}
	return row
}

func copies(lives map[Life]*History) int {
	n := 0
	for life := range lives {
		n = max(n, life.Copy)
	}
	return n
}

// lag: the group has committed the end of every partition.
func (l *Ledger) lag() ledger.Row {
	var broken ledger.Breaches
	var lag int64
	for p := range int32(len(l.End)) {
		if at := l.Committed[p]; at != l.End[p] {
			lag += l.End[p] - at
			broken.Add(func() string {
				return fmt.Sprintf("partition %d: committed %d, end %d", p, at, l.End[p])
			})
		}
	}
	return ledger.Row{Rule: "5 lag at the end", Found: fmt.Sprint(lag),
		Allowed: "0 in each of " + fmt.Sprint(len(l.End)) + " partitions", Breaches: broken}
}

// deadLetters: each has a cause that the component gave: it rejected the record, or failed it max_attempts times in
// one ownership. Calls that ended by a stop, a hand-over or the loss of the lattice or of the process count for
// nothing, so no dead letter can come from a stop.
func (l *Ledger) deadLetters() ledger.Row {
	calls := l.byRecord()
	var broken ledger.Breaches
	for _, d := range l.Dead {
		if !l.deserved(d, calls[d.ID]) {
			broken.Add(func() string {
				return fmt.Sprintf("%v was dead-lettered at %s after %d attempts for %q without reason%s",
					d.ID, clock(d.At), d.Attempts, d.Error, l.story(d.ID))
			})
		}
	}
	row := ledger.Never("6 dead letters without a cause of the component's", broken)
	row.Found += fmt.Sprintf(" of %d", len(l.Dead))
	return row
}

func (l *Ledger) deserved(d DeadLetter, calls []*Call) bool {
	stored := d.At.Add(time.Millisecond) // At is cut to milliseconds
	failures := make(map[tenure]int)
	began := make(map[tenure]time.Time)
	for _, c := range calls {
		until, cause := l.inside(c)
		if until.After(stored) {
			continue
		}
		if c.Answer == Rejected && cause == "" {
			return true
		}
		t := l.tenure(c)
		if _, ok := began[t]; !ok {
			began[t] = c.Begin
		}
		switch {
		case cause == CauseTimeout:
			failures[t]++
		case cause == "" && (c.Answer == Failed || c.Answer == Trapped):
			failures[t]++
		}
	}
	for t, n := range failures {
		// A component that is scaled to 0 takes the calls that it has accepted with it, sometimes before it has begun
		// them; their callers wait for handle_timeout.
		for _, at := range l.Restarts {
			if !at.Before(began[t].Add(-l.HandleTimeout)) && at.Before(stored) {
				n++
			}
		}
		if n >= l.MaxAttempts {
			return true
		}
	}
	return false
}

// leftBehind: after the end the group is empty, and of the copies nothing is left.
func (l *Ledger) leftBehind() ledger.Row {
	broken := ledger.Each(slices.Concat(l.ProcessesLeft, l.GoroutinesLeft, l.BadStops))
	if l.MembersLeft != 0 {
		broken.Add(func() string {
			return fmt.Sprintf("the group has %d members (-1: nobody knows)", l.MembersLeft)
		})
	}
	return ledger.Never("6 members, processes and goroutines left", broken)
}

// story tells what happened to a record, for a rule that was broken.
func (l *Ledger) story(id ledger.ID) string {
	var b strings.Builder
	type event struct {
		at   time.Time
		text string
	}
	var events []event
	for i := range l.Calls {
		c := &l.Calls[i]
		if c.ID != id {
			continue
		}
		until, cause := l.inside(c)
		text := fmt.Sprintf("%v, tenure %d: %s to %s", c.Life, l.tenure(c).nth, c.Answer, clock(c.End))
		if cause != "" {
			text += fmt.Sprintf(", caller gone at %s: %s", clock(until), cause)
		}
		events = append(events, event{c.Begin, text})
	}
	for _, d := range l.Dead {
		if d.ID == id {
			events = append(events, event{d.At, fmt.Sprintf("dead letter after %d attempts: %.100s", d.Attempts, d.Error)})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	fmt.Fprintf(&b, "\n        %v at %v:", id, l.Produced[id])
	for _, e := range events {
		fmt.Fprintf(&b, "\n          %s %s", clock(e.at), e.text)
	}
	return b.String()
}

// dump writes all calls down, one a line.
func (l *Ledger) dump() string {
	var b strings.Builder
	for i := range l.Calls {
		c := &l.Calls[i]
		p := l.Produced[c.ID]
		until, cause := l.inside(c)
		fmt.Fprintf(&b, "%s %s %v partition %d offset %d, %v tenure %d: %s", clock(c.Begin), clock(c.End), c.ID,
			p.Partition, p.Offset,
			c.Life, l.tenure(c).nth, c.Answer)
		if cause != "" {
			fmt.Fprintf(&b, ", caller gone at %s: %s", clock(until), cause)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("15:04:05.000")
}
