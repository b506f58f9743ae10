package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// config says how long and how hard.
type config struct {
	duration     time.Duration // of all of it, about
	warmUp, load time.Duration
	cycle        time.Duration // of the load
	every        time.Duration // between samples
	// reaping is how long Kafka clients get to close the connections that nobody uses any more, before the baseline is
	// taken: they look every 20 s for those that were idle for as long. In a short run some may be left then.
	reaping time.Duration
	rate    float64 // records per second at the height of the load
	guests  int     // links that come and go at a time
	seed    uint64
	out     string // folder of what is kept; empty is none
}

const (
	shortest = 150 * time.Second
	// atRest is what the phases without load take together, besides the baseline.
	atRest = 55 * time.Second
)

// configure reads the environment: SOAK_DURATION (such as 15m; without it the test is skipped), SOAK_RATE, SOAK_LINKS,
// SOAK_SEED and SOAK_OUT.
func configure(t *testing.T) config {
	t.Helper()
	text := os.Getenv("SOAK_DURATION")
	if text == "" {
		t.Skip("SOAK_DURATION is not set: it takes minutes; see test/README.md")
	}
	c := config{rate: 200, guests: 6, seed: rand.Uint64N(1_000_000), out: os.Getenv("SOAK_OUT")}
	var err error
	if c.duration, err = time.ParseDuration(text); err == nil && c.duration < shortest {
		err = fmt.Errorf("SOAK_DURATION=%s: it is at least %v", text, shortest)
	}
	if text := os.Getenv("SOAK_RATE"); text != "" && err == nil {
		if c.rate, err = strconv.ParseFloat(text, 64); err == nil && c.rate < 1 {
			err = fmt.Errorf("SOAK_RATE=%s: it is a number from 1 on", text)
		}
	}
	if text := os.Getenv("SOAK_LINKS"); text != "" && err == nil {
		if c.guests, err = strconv.Atoi(text); err == nil && c.guests < 1 {
			err = fmt.Errorf("SOAK_LINKS=%s: it is a number from 1 on", text)
		}
	}
	if text := os.Getenv("SOAK_SEED"); text != "" && err == nil {
		c.seed, err = strconv.ParseUint(text, 10, 64)
	}
	if err != nil {
		t.Fatalf("reading the environment: %v", err)
	}
	c.every = max(time.Second, c.duration/600)
	c.reaping = 42 * time.Second
	if c.duration >= 10*time.Minute {
		c.reaping = 90 * time.Second
	}
	c.warmUp = min(max(20*time.Second, c.duration/20), 2*time.Minute)
	c.load = c.duration - c.warmUp - c.reaping - atRest
	// Six cycles at least, so that the first can be compared with the last; none so short that a fault outlasts it.
	c.cycle = min(max((c.load/6).Truncate(time.Second), 5*time.Second), 10*time.Minute)
	c.load = c.load / c.cycle * c.cycle
	return c
}
