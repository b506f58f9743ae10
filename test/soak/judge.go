package soak

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
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

// Finding is the judge's word on one rule.
type Finding struct {
	Rule  string
	Holds bool
	// Found says what was seen, Allowed what may be.
	Found, Allowed string
}

// Judge holds what was seen against every rule.
func Judge(r *Run) []Finding {
	findings := []Finding{r.watched(), r.busy()}
	for _, c := range r.Counts {
		findings = append(findings, count(c))
	}
	for _, g := range []Gauge{Goroutines, Descriptors, Subscriptions, KafkaConnections} {
		findings = append(findings, r.same(g, Baseline, Settled))
	}
	findings = append(findings, r.restHeap(), r.underLoad(LiveHeap, loadHeapFactor, loadHeapMore),
		r.underLoad(RSS, loadRSSFactor, loadRSSMore), r.never(RSS, maxRSS), r.never(Threads, maxThreads),
		none("series of links that are gone", r.GoneSeries))
	for _, g := range []Gauge{Goroutines, Descriptors, Subscriptions, KafkaConnections} {
		findings = append(findings, r.same(g, Bare, Stripped))
	}
	return append(findings, none("nothing else went wrong", r.Complaints))
}

// same: a gauge is at rest in a later phase where it was in an earlier one. Less is no leak.
func (r *Run) same(g Gauge, before, after Phase) Finding {
	was, is := r.at(before, g), r.at(after, g)
	f := Finding{
		Rule:  fmt.Sprintf("%v, %s as %s", g, after, before),
		Found: amount(g, is), Allowed: amount(g, was),
		Holds: is <= was,
	}
	if g == Subscriptions { // one that is missing is as bad as one too many
		f.Holds = is == was
	}
	return f
}

// restHeap: what is live at rest is about what was.
func (r *Run) restHeap() Finding {
	limit := r.at(Baseline, LiveHeap)*restHeapFactor + restHeapMore
	is := r.at(Settled, LiveHeap)
	return Finding{
		Rule:  fmt.Sprintf("%v, %s as %s", LiveHeap, Settled, Baseline),
		Found: amount(LiveHeap, is), Allowed: amount(LiveHeap, limit), Holds: is <= limit,
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
func (r *Run) underLoad(g Gauge, factor, more float64) Finding {
	early, late := r.ends()
	was, is := median(known(early, g)), median(known(late, g))
	limit := was*factor + more
	return Finding{
		Rule:  fmt.Sprintf("%v under load, last cycles as first", g),
		Found: fmt.Sprintf("%s after %s", amount(g, is), amount(g, was)), Allowed: amount(g, limit), Holds: is <= limit,
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
func (r *Run) never(g Gauge, limit float64) Finding {
	most := math.NaN()
	if amounts := known(r.Samples, g); len(amounts) > 0 {
		most = slices.Max(amounts)
	}
	return Finding{Rule: fmt.Sprintf("%v at the highest", g), Found: amount(g, most), Allowed: amount(g, limit),
		Holds: most <= limit}
}

// watched: the process was looked at all the time.
func (r *Run) watched() Finding {
	missing, longest := 0, time.Duration(0)
	for i, s := range r.Samples {
		if math.IsNaN(s.Amounts[Goroutines]) {
			missing++
		}
		if i > 0 {
			longest = max(longest, s.At-r.Samples[i-1].At)
		}
	}
	return Finding{
		Rule: "samples",
		Found: fmt.Sprintf("%d, %d of them without metrics, at most %v apart", len(r.Samples), missing,
			longest.Round(time.Millisecond)),
		Allowed: fmt.Sprintf("%d without, %v apart", len(r.Samples)/50, gap*r.Every),
		Holds:   len(r.Samples) > 0 && missing <= len(r.Samples)/50 && longest <= gap*r.Every,
	}
}

// busy: what is meant to happen to the provider has happened. A quiet run proves nothing.
func (r *Run) busy() Finding {
	var idle []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Deeds)) {
		if r.Deeds[name] == 0 {
			idle = append(idle, name)
		}
		total += r.Deeds[name]
	}
	f := Finding{
		Rule: "it had something to do", Found: fmt.Sprintf("%d things of %d kinds", total, len(r.Deeds)),
		Allowed: "some of each",
		Holds:   len(idle) == 0 && total > 0,
	}
	if len(idle) > 0 {
		f.Found = "never: " + strings.Join(idle, ", ")
	}
	return f
}

func count(c Count) Finding {
	f := Finding{
		Rule: "records of " + c.Topic, Found: fmt.Sprintf("%d of %d, %d times again", c.Got, c.Want, c.Again),
		Allowed: "all", Holds: c.Want > 0 && c.Got == c.Want,
	}
	if c.Once {
		f.Allowed = "all, none again"
		f.Holds = f.Holds && c.Again == 0
	}
	return f
}

func none(rule string, found []string) Finding {
	const shown = 5
	text := strings.Join(found[:min(len(found), shown)], "; ")
	if more := len(found) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	if text == "" {
		text = "nothing"
	}
	return Finding{Rule: rule, Found: text, Allowed: "nothing", Holds: len(found) == 0}
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

// Holds tells whether all rules hold.
func Holds(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return !f.Holds })
}

// WriteFindings writes a table of findings.
func WriteFindings(w io.Writer, findings []Finding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tVERDICT\tALLOWED\tFOUND")
	for _, f := range findings {
		verdict := "holds"
		if !f.Holds {
			verdict = "BROKEN"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.Rule, verdict, f.Allowed, f.Found)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	return nil
}
