package soak

import (
	"os"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/fleet"
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
	if os.Getenv("SOAK_DURATION") == "" {
		t.Skip("SOAK_DURATION is not set: it takes minutes; see test/README.md")
	}
	c := config{rate: 200, guests: 6, seed: fleet.Seed()}
	fleet.FromEnv(t, map[string]any{
		"SOAK_DURATION": &c.duration, "SOAK_RATE": &c.rate, "SOAK_LINKS": &c.guests, "SOAK_SEED": &c.seed, "SOAK_OUT": &c.out,
	})
	if c.duration < shortest {
		t.Fatalf("SOAK_DURATION=%v: it is at least %v", c.duration, shortest)
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
	c.load = c.load.Truncate(c.cycle)
	return c
}
