package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// probes bounds how many runs are made to find a shorter one.
const probes = 400

// minimiser makes a run that fails shorter, as long as the same invariant does not hold.
type minimiser struct {
	// fails tells which of several runs fail.
	fails func([]replay.Run) []bool
	left  int // probes
}

func minimise(ctx context.Context, p *program, run replay.Run, result replay.Result, workers int) replay.Run {
	invariant := result.Failures[0].Invariant
	if invariant == "repeatable" || invariant == "stuck" {
		return run // each probe takes long, or proves nothing
	}
	m := &minimiser{left: probes, fails: func(runs []replay.Run) []bool {
		fails := make([]bool, len(runs))
		places := make(chan struct{}, workers)
		var all sync.WaitGroup
		for i, r := range runs {
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				done, err := p.do(ctx, r)
				fails[i] = err == nil && done.result.Failed(invariant)
			})
		}
		all.Wait()
		return fails
	}}
	run, at := m.events(run, result)
	run = m.numbers(run, result, at)
	run = m.plain(run, result.Settings)
	run, _ = m.events(run, result) // some were needed for what is gone
	return run
}

// first is the first of some runs that fails, false where none does.
func (m *minimiser) first(runs []replay.Run) (replay.Run, bool) {
	if len(runs) > m.left {
		runs = runs[:max(m.left, 0)]
	}
	m.left -= len(runs)
	if len(runs) == 0 {
		return replay.Run{}, false
	}
	if i := slices.Index(m.fails(runs), true); i >= 0 {
		return runs[i], true
	}
	return replay.Run{}, false
}

// events leaves out events (delta debugging: larger parts first), and tells when the last one that is left comes.
func (m *minimiser) events(run replay.Run, result replay.Result) (replay.Run, time.Duration) {
	keep := run.Only
	if run.All {
		keep = slices.Clone(result.Events)
	}
	with := func(list []int) replay.Run {
		r := run
		r.All, r.Only = false, list
		return r
	}
	for parts := 1; len(keep) > 0; {
		size := (len(keep) + parts - 1) / parts
		var tries []replay.Run
		for from := 0; from < len(keep); from += size {
			rest := slices.Concat(keep[:from:from], keep[min(from+size, len(keep)):])
			tries = append(tries, with(rest))
		}
		if shorter, ok := m.first(tries); ok {
			keep = shorter.Only
			parts = max(parts-1, 1)
			continue
		}
		if size == 1 || m.left <= 0 {
			break
		}
		parts = min(2*parts, len(keep))
	}
	var last time.Duration
	for i, number := range result.Events {
		if slices.Contains(keep, number) {
			last = max(last, result.At[i])
		}
	}
	return with(keep), last
}

// numbers has fewer records and copies, and less time.
func (m *minimiser) numbers(run replay.Run, result replay.Result, last time.Duration) replay.Run {
	for _, try := range []struct {
		drawn int
		set   func(*replay.Run, int)
	}{
		{result.Copies, func(r *replay.Run, n int) { r.Copies = n }},
		{result.Records, func(r *replay.Run, n int) { r.Records = n }},
	} {
		for low, high := 1, try.drawn; low < high; {
			middle := (low + high) / 2
			shorter := run
			try.set(&shorter, middle)
			if r, ok := m.first([]replay.Run{shorter}); ok {
				run, high = r, middle
			} else {
				low = middle + 1
			}
		}
	}
	for more := time.Second; last+more < result.Trouble; more *= 4 {
		shorter := run
		shorter.Trouble = (last + more).Round(time.Millisecond)
		if r, ok := m.first([]replay.Run{shorter}); ok {
			return r
		}
	}
	return run
}

// plain leaves settings to their defaults.
func (m *minimiser) plain(run replay.Run, settings []string) replay.Run {
	for _, name := range settings {
		simpler := run
		simpler.Plain = append(slices.Clone(run.Plain), name)
		if r, ok := m.first([]replay.Run{simpler}); ok {
			run = r
		}
	}
	return run
}
