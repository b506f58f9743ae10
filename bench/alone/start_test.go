//go:build bench

package alone

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/rig"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// measureStart starts the program of archives again and again.
func measureStart(t *testing.T) Start {
	binary := rig.Build(t, "./cmd/messaging-kafka", "nodev") // as it is in archives
	s := Start{Starts: *starts}
	t.Run("start", func(t *testing.T) {
		brokers, _ := rig.Kfake(t)
		testkit.NewClient(t, brokers).Topic("t", 1, nil)
		ns, _ := rig.NATS(t)
		var without, with []float64
		for i := range *starts {
			// Each has a lattice of its own, and so a group of its own: one that was killed is a member still.
			host := func(kind string) *testkit.FakeHost {
				return testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{Lattice: fmt.Sprintf("%s%d", kind, i)})
			}
			without = append(without, startOnce(t, host("bare"), binary))
			linked := host("linked")
			linked.PutLink(testkit.TargetLink("c", "kafka", map[string]string{"hosts": brokers[0], "topic": "t"}))
			with = append(with, startOnce(t, linked, binary))
		}
		s.Healthy, s.OneLink = bench.SpreadOf(without), bench.SpreadOf(with)
	})
	return s
}

// startOnce returns the milliseconds from the start of the process to its first answer that it is healthy.
func startOnce(t *testing.T, host *testkit.FakeHost, binary string) float64 {
	t.Helper()
	begin := time.Now()
	p := host.StartProvider(testkit.ProviderSpec{Binary: binary,
		HostData: func(data map[string]any) { data["log_level"] = "warn" }})
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		// Before the provider listens, the nats-server says so at once.
		health, err := p.Health(ctx)
		cancel()
		if err == nil && health.Healthy {
			break
		}
		if time.Since(begin) > testkit.DefaultTimeout {
			t.Fatalf("not healthy after %s: %q (%v)", testkit.DefaultTimeout, health.Message, err)
		}
		time.Sleep(500 * time.Microsecond)
	}
	took := time.Since(begin)
	p.Kill()
	return took.Seconds() * 1e3
}
