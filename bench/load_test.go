package bench

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestALoadKeepsItsNumberInFlight(t *testing.T) {
	const inFlight = 4
	var now, most atomic.Int64
	full := make(chan struct{})
	echo := func(ctx context.Context, _ uint64) (time.Duration, error) {
		defer now.Add(-1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
			if n == inFlight {
				close(full)
			}
		}
		select {
		case <-full: // nobody goes on before all are there
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		return time.Millisecond, nil
	}
	var ids atomic.Uint64
	s, err := Load{InFlight: inFlight, Duration: 20 * time.Millisecond, Patience: time.Minute}.Run(t.Context(), &ids, echo)
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() != inFlight {
		t.Errorf("%d in flight, want %d", most.Load(), inFlight)
	}
	if uint64(s.Sent) != ids.Load() || s.Lost != 0 || s.Err != nil {
		t.Errorf("%d of %d values sent, %d lost: %v", s.Sent, ids.Load(), s.Lost, s.Err)
	}
	if len(s.Echoes) > s.Sent {
		t.Errorf("%d echoes of %d values", len(s.Echoes), s.Sent)
	}
}

func TestALoadCountsWhatIsLostAndSaysWhy(t *testing.T) {
	refused := errors.New("refused")
	var ids atomic.Uint64
	s, err := Load{InFlight: 2, Duration: 20 * time.Millisecond, Patience: time.Minute}.Run(t.Context(), &ids,
		func(context.Context, uint64) (time.Duration, error) { return 0, refused })
	if err != nil {
		t.Fatal(err)
	}
	if s.Lost == 0 || s.Lost != s.Sent || len(s.Echoes) != 0 {
		t.Errorf("%d of %d lost, %d echoes", s.Lost, s.Sent, len(s.Echoes))
	}
	if !errors.Is(s.Err, refused) || strings.Count(s.Err.Error(), "refused") > shownErrors {
		t.Errorf("%v, want at most %d times %v", s.Err, shownErrors, refused)
	}
}

func TestAValueIsLostWhenPatienceEnds(t *testing.T) {
	var ids atomic.Uint64
	s, err := Load{InFlight: 1, Duration: time.Millisecond, Patience: time.Millisecond}.Run(t.Context(), &ids,
		func(ctx context.Context, _ uint64) (time.Duration, error) { <-ctx.Done(); return 0, ctx.Err() })
	if err != nil {
		t.Fatal(err)
	}
	if s.Lost == 0 || !errors.Is(s.Err, context.DeadlineExceeded) {
		t.Errorf("%d lost: %v", s.Lost, s.Err)
	}
}

func TestALoadWithoutMeasuresIsNoLoad(t *testing.T) {
	blind := errors.New("no /proc here")
	var ids atomic.Uint64
	_, err := Load{InFlight: 1, Duration: time.Hour, Patience: time.Minute,
		Measure: func() error { return blind }}.Run(t.Context(), &ids,
		func(context.Context, uint64) (time.Duration, error) { return 0, nil })
	if !errors.Is(err, blind) {
		t.Errorf("%v, want %v", err, blind)
	}
}
