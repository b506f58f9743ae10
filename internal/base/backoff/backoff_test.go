package backoff

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitsDoubleUpToTheMost(t *testing.T) {
	b := Backoff{First: 3 * time.Second, Most: 10 * time.Second}
	for failures, want := range map[int]time.Duration{
		-1: 3 * time.Second, 0: 3 * time.Second, 1: 3 * time.Second, 2: 6 * time.Second, 3: 10 * time.Second,
		math.MaxInt: 10 * time.Second,
	} {
		if got := b.After(failures); got != want {
			t.Errorf("after %d failures %s, want %s", failures, got, want)
		}
	}
	if got := (Backoff{First: time.Minute, Most: time.Second}).After(1); got != time.Second {
		t.Errorf("a first wait beyond the most is %s", got)
	}
}

func TestSpreadIsBetweenHalfAndTheWhole(t *testing.T) {
	b := Backoff{First: time.Second, Most: 4 * time.Second}
	seen := make(map[time.Duration]bool)
	for range 1000 {
		got := b.Spread(9)
		if got < 2*time.Second || got > 4*time.Second {
			t.Fatalf("waits for %s", got)
		}
		seen[got] = true
	}
	if len(seen) < 900 {
		t.Errorf("only %d of 1000 waits differ", len(seen))
	}
	if got := (Backoff{}).Spread(1); got <= 0 {
		t.Errorf("no wait at all is %s", got)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if !Sleep(ctx, time.Second/2) || time.Since(began) != time.Second/2 {
			t.Errorf("slept for %s", time.Since(began))
		}
		if Sleep(ctx, time.Hour) || time.Since(began) != time.Second {
			t.Errorf("slept for %s in all", time.Since(began))
		}
	})
}
