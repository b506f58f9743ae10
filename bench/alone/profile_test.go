//go:build bench

package alone

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
)

// profile takes a profile of the provider's CPU while the first round of a way runs, and what it has allocated at the
// end of it. What it returns waits for them. Without -profile it does nothing.
func (b *bed) profile(p *provider, way string, shape Shape, round int) (wait func()) {
	address := p.gauge.Runtimes[bench.Provider]
	if *profile == "" || round != 1 || address == "" {
		return func() {}
	}
	if err := os.MkdirAll(*profile, 0o755); err != nil {
		b.t.Fatal(err)
	}
	name := filepath.Join(*profile, fmt.Sprintf("%s-%d-%d", way, shape.InFlight, shape.Size))
	seconds := max(1, int((*duration + ramp).Seconds()))
	done := make(chan error, 1)
	go func() { done <- rig.FetchProfile(address, fmt.Sprintf("profile?seconds=%d", seconds), name+".cpu") }()
	return func() {
		err := <-done
		for _, kind := range []string{"allocs", "mutex", "block", "goroutine"} {
			if err == nil {
				err = rig.FetchProfile(address, kind, name+"."+kind)
			}
		}
		if err != nil {
			b.t.Errorf("taking a profile: %v", err)
		}
	}
}
