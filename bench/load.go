package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Echo sends one value and returns how long its echo took. ids are unique within a load. An error means that the echo
// is lost.
type Echo func(ctx context.Context, id uint64) (time.Duration, error)

// Load is closed-loop load: as many echoes under way as InFlight, the next one begun when one has come back.
type Load struct {
	InFlight int
	// Ramp is how long the load runs before it is measured, Duration how long it is measured.
	Ramp, Duration time.Duration
	// Patience is after how long without an echo a value counts as lost.
	Patience time.Duration
	// Measure, if not nil, is called as the measured time begins and ends.
	Measure func() error
}

// Sample is what became of a load. Values of the whole load can be lost; all else is about the measured time.
type Sample struct {
	Took   time.Duration   // how long was measured
	Echoes []time.Duration // how long each took that came within the measured time, sorted
	Sent   int             // values of the whole load
	Lost   int             // values of the whole load that did not come back
	Err    error           // why the first few of them did not
}

// PerSecond is the number of echoes that came each second.
func (s *Sample) PerSecond() float64 { return float64(len(s.Echoes)) / s.Took.Seconds() }

// shownErrors is how many lost values of a load are explained.
const shownErrors = 5

// Run runs the load and waits for its last echo. ids is the id before the first; those used are added to it. An error
// means that nothing was measured.
func (l Load) Run(ctx context.Context, ids *atomic.Uint64, echo Echo) (*Sample, error) {
	type came struct {
		at   time.Time
		took time.Duration
	}
	var (
		stop   atomic.Bool
		all    sync.WaitGroup
		mu     sync.Mutex
		sample Sample
		echoes []came
		errs   []error
	)
	for range l.InFlight {
		all.Go(func() {
			var own []came
			sent, lost := 0, 0
			for !stop.Load() && ctx.Err() == nil {
				id := ids.Add(1)
				sent++
				attempt, cancel := context.WithTimeout(ctx, l.Patience)
				took, err := echo(attempt, id)
				cancel()
				if err == nil {
					own = append(own, came{time.Now(), took})
					continue
				}
				lost++
				mu.Lock()
				if len(errs) < shownErrors {
					errs = append(errs, fmt.Errorf("value %d: %w", id, err))
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			sample.Sent += sent
			sample.Lost += lost
			echoes = append(echoes, own...)
		})
	}
	begin, end, err := l.window(ctx)
	stop.Store(true)
	all.Wait()
	if err != nil {
		return nil, err
	}
	sample.Took = end.Sub(begin)
	for _, e := range echoes {
		if !e.at.Before(begin) && e.at.Before(end) {
			sample.Echoes = append(sample.Echoes, e.took)
		}
	}
	slices.Sort(sample.Echoes)
	sample.Err = errors.Join(errs...)
	return &sample, nil
}

// window waits until the measured time has passed and returns its bounds.
func (l Load) window(ctx context.Context) (begin, end time.Time, err error) {
	measure := l.Measure
	if measure == nil {
		measure = func() error { return nil }
	}
	if err := sleep(ctx, l.Ramp); err != nil {
		return begin, end, err
	}
	begin = time.Now()
	if err := measure(); err != nil {
		return begin, end, err
	}
	if err := sleep(ctx, l.Duration); err != nil {
		return begin, end, err
	}
	end = time.Now()
	return begin, end, measure()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
