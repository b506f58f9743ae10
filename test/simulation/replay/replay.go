// Package replay names runs of the simulation and holds what comes of one, so that a run in one process can be told of
// and repeated in another.
package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Run names a run: a seed, and what is left out of what the seed draws.
type Run struct {
	Seed uint64
	// Only are the numbers of the events that happen; with All it is all of them.
	Only []int
	All  bool
	// Records, Copies and Trouble are the most of each; 0 is as many, and as long, as drawn.
	Records, Copies int
	Trouble         time.Duration
	// Plain are settings that are left to their defaults.
	Plain []string
	// Theme is what the run has much of, whatever its seed draws; "" is that.
	Theme string
}

// Of is the whole run of a seed.
func Of(seed uint64) Run { return Run{Seed: seed, All: true} }

// String is what Parse reads: "7", or "7/events=3,12/records=20/copies=1/trouble=30s/plain=order".
func (r Run) String() string {
	text := strconv.FormatUint(r.Seed, 10)
	if !r.All {
		numbers := make([]string, len(r.Only))
		for i, n := range r.Only {
			numbers[i] = strconv.Itoa(n)
		}
		text += "/events=" + strings.Join(numbers, ",")
	}
	if r.Records > 0 {
		text += fmt.Sprintf("/records=%d", r.Records)
	}
	if r.Copies > 0 {
		text += fmt.Sprintf("/copies=%d", r.Copies)
	}
	if r.Trouble > 0 {
		text += fmt.Sprintf("/trouble=%s", r.Trouble)
	}
	if len(r.Plain) > 0 {
		text += "/plain=" + strings.Join(r.Plain, ",")
	}
	if r.Theme != "" {
		text += "/theme=" + r.Theme
	}
	return text
}

// Parse reads the name of a run.
func Parse(text string) (Run, error) {
	seed, rest, more := strings.Cut(text, "/")
	r := Run{All: true}
	var err error
	if r.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
		return Run{}, fmt.Errorf("reading the seed of %q: %w", text, err)
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "events":
			r.All = false
			r.Only, err = numbers(value)
		case "records":
			r.Records, err = strconv.Atoi(value)
		case "copies":
			r.Copies, err = strconv.Atoi(value)
		case "trouble":
			r.Trouble, err = time.ParseDuration(value)
		case "plain":
			r.Plain = strings.Split(value, ",")
		case "theme":
			r.Theme = value
		default:
			err = fmt.Errorf("%q is none of events, records, copies, trouble, plain and theme", name)
		}
		if err != nil {
			return Run{}, fmt.Errorf("reading %q: %w", text, err)
		}
	}
	return r, nil
}

func numbers(text string) (list []int, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// Has tells whether the event of a number happens.
func (r Run) Has(event int) bool { return r.All || slices.Contains(r.Only, event) }

// Result is what came of a run.
type Result struct {
	Failures []Failure
	// Simulated is how long the run took in virtual time.
	Simulated time.Duration
	// Events are the numbers of those that the run could have, At when they come, Kinds what happened how often.
	Events []int
	At     []time.Duration
	Kinds  map[string]int
	// Injected is what was done to requests and answers.
	Injected []Injected
	// Settings are those that were drawn.
	Settings               []string
	Records, Copies, Calls int
	Trouble                time.Duration
}

// Injected is an error or another mishap that a kind of request was met with, and how often.
type Injected struct {
	Request, What string
	Times         int
}

// Failure is an invariant that did not hold.
type Failure struct {
	Invariant, Text string
}

// Failed tells whether an invariant did not hold.
func (r *Result) Failed(invariant string) bool {
	return slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Invariant == invariant })
}

// Levels of the lines of a log: the first byte of each.
const (
	Story   = 's' // faults, deeds, lives of copies: what is told first
	Call    = 'c' // a call of the component, and what became of it
	Warning = 'w' // what a copy logs as a warning or an error
	Detail  = 'd' // all else
)
