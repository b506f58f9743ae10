package soak

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

const mib = 1 << 20

// Limits on memory. They leave room for what a garbage-collected heap and the kernel do by themselves; the rules on
// what is counted leave none unless they say why.
const (
	// A heap at rest may hold some more than before: pools and tables that grew under load.
	restHeapFactor, restHeapMore = 1.1, 2 * mib
	// What is live in the middle of the load depends on which records and links are there: a record may have 700 KiB.
	loadHeapFactor, loadHeapMore = 1.3, 8 * mib
	// Go gives memory back slowly, so that the highest load so far shows for a while.
	loadRSSFactor, loadRSSMore = 1.25, 32 * mib
	// maxRSS bounds the process at any time: the buffers of the lasting links may take 4 × 32 MiB, and a heap grows to
	// twice of what is live.
	maxRSS = 384 * mib
	// maxThreads bounds threads. Go ends none, so that their number is the most that ever ran or blocked at once.
	maxThreads = 64
)

// gap is how many samples in a row may be missing: the process's metrics must be there at any time.
const gap = 5

// Judge holds what was seen against every rule.
func Judge(r *Run) []ledger.Row {
	findings := []ledger.Row{r.watched(), r.busy()}
	for _, c := range r.Counts {
		findings = append(findings, count(c))
	}
	for _, g := range []Gauge{Goroutines, Descriptors, Subscriptions, KafkaConnections} {
		findings = append(findings, r.same(g, Baseline, Settled))
	}
	findings = append(findings, r.restHeap(), r.underLoad(LiveHeap, loadHeapFactor, loadHeapMore),
		r.underLoad(RSS, loadRSSFactor, loadRSSMore), r.never(RSS, maxRSS), r.never(Threads, maxThreads),
		ledger.Never("series of links that are gone", ledger.Each(r.GoneSeries)))
	for _, g := range []Gauge{Goroutines, Descriptors, Subscriptions, KafkaConnections} {
		findings = append(findings, r.same(g, Bare, Stripped))
	}
	return append(findings, ledger.Never("nothing else went wrong", ledger.Each(r.Complaints)))
}

// same: a gauge is at rest in a later phase where it was in an earlier one. Less is no leak.
func (r *Run) same(g Gauge, before, after Phase) ledger.Row {
	was, is := r.at(before, g), r.at(after, g)
	f := ledger.Row{
		Rule:  fmt.Sprintf("%v, %s as %s", g, after, before),
		Found: amount(g, is), Allowed: amount(g, was),
		Breaches: ledger.Unless(is <= was),
	}
	if g == Subscriptions { // one that is missing is as bad as one too many
		f.Breaches = ledger.Unless(is == was)
	}
	return f
}

// restHeap: what is live at rest is about what was.
func (r *Run) restHeap() ledger.Row {
	limit := r.at(Baseline, LiveHeap)*restHeapFactor + restHeapMore
	is := r.at(Settled, LiveHeap)
	return ledger.Row{
		Rule:  fmt.Sprintf("%v, %s as %s", LiveHeap, Settled, Baseline),
		Found: amount(LiveHeap, is), Allowed: amount(LiveHeap, limit), Breaches: ledger.Unless(is <= limit),
	}
}

func (r *Run) at(p Phase, g Gauge) float64 {
	a, ok := r.Rest[p]
	if !ok {
		return math.NaN() // which no rule lets pass
	}
	return a[g]
}

// underLoad: the median over the last cycles of the load is about that over the first.
func (r *Run) underLoad(g Gauge, factor, more float64) ledger.Row {
	early, late := r.ends()
	was, is := median(known(early, g)), median(known(late, g))
	limit := was*factor + more
	return ledger.Row{
		Rule:  fmt.Sprintf("%v under load, last cycles as first", g),
		Found: fmt.Sprintf("%s after %s", amount(g, is), amount(g, was)), Allowed: amount(g,
			limit), Breaches: ledger.Unless(is <= limit),
	}
}

// ends returns the samples of the first and of the last whole cycles of the load: a third of them each.
func (r *Run) ends() (early, late []Sample) {
	load, ok := r.span(Load)
	cycles := 0
	if ok && r.Cycle > 0 {
		cycles = int((load.To - load.From + r.Cycle/10) / r.Cycle)
	}
	if cycles < 3 {
		return nil, nil // too short to compare anything
	}
	length := time.Duration(max(1, cycles/3)) * r.Cycle
	return r.in(load.From, load.From+length), r.in(load.To-length, load.To)
}

// never: a gauge was never above a limit.
func (r *Run) never(g Gauge, limit float64) ledger.Row {
	most := math.NaN()
	if amounts := known(r.Samples, g); len(amounts) > 0 {
		most = slices.Max(amounts)
	}
	return ledger.Row{Rule: fmt.Sprintf("%v at the highest", g), Found: amount(g, most), Allowed: amount(g, limit),
		Breaches: ledger.Unless(most <= limit)}
}

// watched: the process was looked at all the time.
func (r *Run) watched() ledger.Row {
	missing, longest := 0, time.Duration(0)
	for i, s := range r.Samples {
		if math.IsNaN(s.Amounts[Goroutines]) {
			missing++
		}
		if i > 0 {
			longest = max(longest, s.At-r.Samples[i-1].At)
		}
	}
	return ledger.Row{
		Rule: "samples",
		Found: fmt.Sprintf("%d, %d of them without metrics, at most %v apart", len(r.Samples), missing,
			longest.Round(time.Millisecond)),
		Allowed:  fmt.Sprintf("%d without, %v apart", len(r.Samples)/50, gap*r.Every),
		Breaches: ledger.Unless(len(r.Samples) > 0 && missing <= len(r.Samples)/50 && longest <= gap*r.Every),
	}
}

// busy: what is meant to happen to the provider has happened. A quiet run proves nothing.
func (r *Run) busy() ledger.Row {
	var idle []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Deeds)) {
		if r.Deeds[name] == 0 {
			idle = append(idle, name)
		}
		total += r.Deeds[name]
	}
	f := ledger.Row{
		Rule: "it had something to do", Found: fmt.Sprintf("%d things of %d kinds", total,
			len(r.Deeds)), Allowed: "some of each",
		Breaches: ledger.Unless(len(idle) == 0 && total > 0),
	}
	if len(idle) > 0 {
		f.Found = "never: " + strings.Join(idle, ", ")
	}
	return f
}

func count(c Count) ledger.Row {
	f := ledger.Row{
		Rule: "records of " + c.Topic, Found: fmt.Sprintf("%d of %d, %d times again", c.Got, c.Want, c.Again),
		Allowed: "all", Breaches: ledger.Unless(c.Want > 0 && c.Got == c.Want),
	}
	if c.Once {
		f.Allowed = "all, none again"
		f.Breaches = ledger.Unless(c.Want > 0 && c.Got == c.Want && c.Again == 0)
	}
	return f
}

// amount writes an amount of a gauge for people.
func amount(g Gauge, v float64) string {
	switch {
	case math.IsNaN(v):
		return "unknown"
	case g.bytes():
		return fmt.Sprintf("%.1f MiB", v/mib)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}
