package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/simulation/replay"
)

// twice is by how many seeds those that are run twice lie apart, to see that a run can be repeated.
const twice = 25

// search runs seeds until one fails or its time is over.
type search struct {
	program *program
	seed    func() uint64
	workers int
	span    time.Duration
	most    int       // seeds; 0 is without a bound
	twice   int       // by how many seeds those that are run twice lie apart
	out     io.Writer // how it goes; nil is nowhere
	onward  bool      // go on after a run that fails, which is told to out
	began   time.Time

	mu       sync.Mutex
	runs     int
	checked  int // runs that were repeated
	total    replay.Result
	kinds    map[string]int
	injected map[string]map[string]int // what was done to which requests
	failed   *outcome
	err      error
}

func newSearch(p *program, seed func() uint64, workers int) *search {
	return &search{program: p, seed: seed, workers: workers, twice: twice, kinds: make(map[string]int), injected: make(map[string]map[string]int)}
}

// run returns the first run that fails, nil where none does.
func (s *search) run(ctx context.Context) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.began = time.Now()
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() {
			defer cancel() // the others need not go on
			s.work(ctx)
		})
	}
	workers.Wait()
	return s.failed, s.err
}

func (s *search) work(ctx context.Context) {
	for ctx.Err() == nil {
		run, repeat, more := s.next()
		if !more {
			return
		}
		done, err := s.program.do(ctx, run)
		if err == nil && repeat && len(done.result.Failures) == 0 {
			err = s.repeat(ctx, done)
		}
		if !s.took(ctx, done, err) {
			return
		}
	}
}

func (s *search) next() (run replay.Run, repeat, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || s.most > 0 && s.runs >= s.most || s.span > 0 && time.Since(s.began) > s.span {
		return replay.Run{}, false, false
	}
	s.runs++
	return replay.Of(s.seed()), s.runs%s.twice == 0, true
}

// repeat runs a run once more.
func (s *search) repeat(ctx context.Context, first *outcome) error {
	again, err := s.program.do(ctx, first.run)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked++
	if where := difference(first.log, again.log); where != "" {
		first.result.Failures = append(first.result.Failures, replay.Failure{Invariant: "repeatable", Text: where})
	}
	return nil
}

// took counts what came of a run, and tells whether to go on.
func (s *search) took(ctx context.Context, done *outcome, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			s.err = err
		}
		return false
	}
	r := &done.result
	s.total.Simulated += r.Simulated
	s.total.Records += r.Records
	s.total.Calls += r.Calls
	for kind, n := range r.Kinds {
		s.kinds[kind] += n
	}
	for _, i := range r.Injected {
		if s.injected[i.Request] == nil {
			s.injected[i.Request] = make(map[string]int)
		}
		s.injected[i.Request][i.What] += i.Times
	}
	if len(r.Failures) > 0 && s.onward {
		fmt.Fprintf(s.out, "seed %d fails: %s: %.300s\n", done.run.Seed, r.Failures[0].Invariant, r.Failures[0].Text)
		return true
	}
	if len(r.Failures) > 0 {
		if s.failed == nil {
			s.failed = done
		}
		return false
	}
	if s.out != nil && s.runs%500 == 0 {
		fmt.Fprintf(s.out, "%d seeds, %s simulated\n", s.runs, s.total.Simulated.Round(time.Hour))
	}
	return true
}

// summary tells what was run.
func (s *search) summary() string {
	took := time.Since(s.began)
	text := fmt.Sprintf("%d seeds, %s simulated in %s (%.0f seeds a minute): %d records, %d calls; %d runs repeated, each the same to the byte\n",
		s.runs, s.total.Simulated.Round(time.Minute), took.Round(time.Second), float64(s.runs)/took.Minutes(), s.total.Records, s.total.Calls, s.checked)
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, s.kinds[kind]))
	}
	return text + "what happened: " + strings.Join(kinds, ", ") + "\n"
}

// table tells in Markdown what was done to which requests, and how often.
func (s *search) table() string {
	var text strings.Builder
	text.WriteString("| request | what it was met with, and how often |\n| --- | --- |\n")
	for _, request := range slices.Sorted(maps.Keys(s.injected)) {
		var list []string
		for _, what := range slices.Sorted(maps.Keys(s.injected[request])) {
			list = append(list, fmt.Sprintf("%s %d", what, s.injected[request][what]))
		}
		fmt.Fprintf(&text, "| %s | %s |\n", request, strings.Join(list, ", "))
	}
	return text.String()
}
