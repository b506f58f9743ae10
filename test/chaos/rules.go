package chaos

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is the ledger's word on one rule.
type Row struct {
	Rule    string
	Found   string
	Allowed string
	Breaches
}

// Breaches are the ways in which a rule was broken. The zero value is none: the rule holds.
type Breaches struct {
	N int
	// Details tell of the first ones, for somebody who looks for the cause.
	Details []string
}

// detailsShown bounds what is told of a broken rule.
const detailsShown = 10

// add counts a breach. tell is called for the first ones only: to tell a record's story takes a look at every call.
func (b *Breaches) add(tell func() string) {
	b.N++
	if len(b.Details) < detailsShown {
		b.Details = append(b.Details, tell())
	}
}

// Check holds the ledger against every rule.
func (l *Ledger) Check() []Row {
	return []Row{
		l.lost(), l.strangers(), l.orderOverall(), l.orderWithin(), l.together(), l.duplicates(), l.lag(),
		l.deadLetters(), l.leftBehind(),
	}
}

// never makes a row of a rule that allows nothing.
func never(rule string, broken Breaches) Row {
	return Row{Rule: rule, Found: fmt.Sprint(broken.N), Allowed: "0", Breaches: broken}
}

// lost: every record that Kafka acknowledged was finished at least once.
func (l *Ledger) lost() Row {
	finished := l.verdicts()
	var broken Breaches
	for _, id := range sortedIDs(l.Produced) {
		if _, ok := finished[id]; !ok {
			broken.add(func() string {
				return fmt.Sprintf("%v at %v was neither done nor dead-lettered%s", id, l.Produced[id], l.story(id))
			})
		}
	}
	return never("1 records lost", broken)
}

// strangers: the component and the dead-letter topic got nothing but what was produced, from nobody but the copies.
func (l *Ledger) strangers() Row {
	return never("1 records and callers that nobody knows", breaches(l.Strangers))
}

func breaches(texts []string) Breaches {
	return Breaches{N: len(texts), Details: texts[:min(len(texts), detailsShown)]}
}

// orderOverall: of a key, no record is begun before its predecessor was finished by whomever. It needs no notion of
// ownership: whoever begins a record either finished its predecessor himself or took over from one who did.
func (l *Ledger) orderOverall() Row {
	finished := l.verdicts()
	var broken Breaches
	for i := range l.Calls {
		c := &l.Calls[i]
		if c.ID.Seq == 1 {
			continue
		}
		before := ID{c.ID.Key, c.ID.Seq - 1}
		if at, ok := finished[before]; !ok || c.Begin.Before(at) {
			broken.add(func() string {
				return fmt.Sprintf("%v was begun by %v at %s before %v was finished%s%s",
					c.ID, c.Life, clock(c.Begin), before, l.story(before), l.story(c.ID))
			})
		}
	}
	return never("2 records begun before their predecessor's verdict", broken)
}

// orderWithin: within one ownership of a partition, the calls of a key are one after another, each record is the
// successor of the one before or another attempt at it, a successor follows only on a verdict, and another attempt only
// where there was none.
func (l *Ledger) orderWithin() Row {
	type line struct {
		tenure
		key int
	}
	finished := l.verdicts()
	last := make(map[line]*Call)
	var broken Breaches
	for i := range l.Calls {
		c := &l.Calls[i]
		t := l.tenure(c)
		if t.nth == 0 {
			broken.add(func() string {
				return fmt.Sprintf("%v was begun by %v at %s, which did not own partition %d", c.ID, c.Life,
					clock(c.Begin), t.partition)
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
		broken.add(func() string {
			return fmt.Sprintf("%v was begun by %v at %s after %v, %s%s%s",
				c.ID, c.Life, clock(c.Begin), before.ID, why, l.story(before.ID), l.story(c.ID))
		})
	}
	return never("2 calls out of order within one ownership", broken)
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
func (l *Ledger) together() Row {
	excused := make(map[Cause]int)
	var broken Breaches
	calls := l.byRecord()
	for _, id := range sortedIDs(calls) {
		for i, c := range calls[id] {
			for _, next := range calls[id][i+1:] {
				if !c.End.IsZero() && !next.Begin.Before(c.End) {
					continue
				}
				if until, cause := l.inside(c); next.Begin.Before(until) {
					broken.add(func() string {
						return fmt.Sprintf("%v at %v: %v came at %s while %v was inside%s",
							id, l.Produced[id], next.Life, clock(next.Begin), c.Life, l.story(id))
					})
				} else {
					excused[cause]++
				}
			}
		}
	}
	row := never("3 calls inside one record at once", broken)
	var parts []string
	for _, cause := range Causes {
		parts = append(parts, fmt.Sprintf("%s %d", cause, excused[cause]))
	}
	row.Found += " (besides, the caller gone: " + strings.Join(parts, ", ") + ")"
	return row
}

// duplicates: a record is done again only where a copy could not commit or hear that it was done: for each partition
// that got another owner, and for each loss of the lattice or of the component, at most as many as can be in flight.
func (l *Ledger) duplicates() Row {
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
	row := Row{Rule: "4 records done again", Found: fmt.Sprint(extra),
		Allowed: fmt.Sprintf("%d = %d in flight × (%d partitions moved + %d losses of lattice or component)", bound,
			l.MaxInFlight, moves, losses)}
	if extra > bound {
		row.add(func() string { return fmt.Sprintf("%d are more than %d", extra, bound) })
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
func (l *Ledger) lag() Row {
	var broken Breaches
	var lag int64
	for p := range int32(len(l.End)) {
		if at := l.Committed[p]; at != l.End[p] {
			lag += l.End[p] - at
			broken.add(func() string {
				return fmt.Sprintf("partition %d: committed %d, end %d", p, at, l.End[p])
			})
		}
	}
	return Row{Rule: "5 lag at the end", Found: fmt.Sprint(lag), Allowed: "0 in each of " + fmt.Sprint(len(l.End)) +
		" partitions", Breaches: broken}
}

// deadLetters: each has a cause that the component gave: it rejected the record, or failed it max_attempts times in
// one ownership. Calls that ended by a stop, a hand-over or the loss of the lattice or of the process count for
// nothing, so no dead letter can come from a stop.
func (l *Ledger) deadLetters() Row {
	calls := l.byRecord()
	var broken Breaches
	for _, d := range l.Dead {
		if !l.deserved(d, calls[d.ID]) {
			broken.add(func() string {
				return fmt.Sprintf("%v was dead-lettered at %s after %d attempts for %q without reason%s",
					d.ID, clock(d.At), d.Attempts, d.Error, l.story(d.ID))
			})
		}
	}
	row := never("6 dead letters without a cause of the component's", broken)
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
func (l *Ledger) leftBehind() Row {
	broken := breaches(slices.Concat(l.ProcessesLeft, l.GoroutinesLeft, l.BadStops))
	if l.MembersLeft != 0 {
		broken.add(func() string {
			return fmt.Sprintf("the group has %d members (-1: nobody knows)", l.MembersLeft)
		})
	}
	return never("6 members, processes and goroutines left", broken)
}

// story tells what happened to a record, for a rule that was broken.
func (l *Ledger) story(id ID) string {
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

// Print writes the rows as a table, with the details of broken rules below, and tells whether all rules hold.
func Print(w io.Writer, rows []Row) (holds bool, err error) {
	holds = true
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tVERDICT\tFOUND\tALLOWED")
	for _, r := range rows {
		verdict := "holds"
		if r.N > 0 {
			verdict, holds = "BROKEN", false
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Rule, verdict, r.Found, cmp.Or(r.Allowed, "0"))
	}
	if err := table.Flush(); err != nil {
		return holds, fmt.Errorf("printing the ledger: %w", err)
	}
	for _, r := range rows {
		for _, text := range r.Details {
			fmt.Fprintf(w, "  %s: %s\n", r.Rule, text)
		}
		if more := r.N - len(r.Details); more > 0 {
			fmt.Fprintf(w, "  %s: and %d more\n", r.Rule, more)
		}
	}
	return holds, nil
}
