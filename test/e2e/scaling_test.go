//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestAScalingOfARealHostCostsNoRecordItsAttempt: a host that scales a component finishes the calls that have an
// instance, ends the one that waits for it without a value, and forgets the others.
func TestAScalingOfARealHostCostsNoRecordItsAttempt(t *testing.T) {
	s := startStack(t, testkit.RealKafka(t, testkit.KafkaOptions{}), testkit.HostOptions{Lattice: "scaling"})
	s.host.Scale("sleeper", testkit.ComponentWasm(t, "echo"), 1)
	for round, to := range []int{3, 0} {
		t.Run(fmt.Sprintf("to %d instances", to), func(t *testing.T) {
			in, dead := fmt.Sprint("scaled", round), fmt.Sprint("dead", round)
			s.topics(in, in+".reply", dead)
			s.fromMessages("sleeper")
			s.toMessages("sleeper", in, in, "max_attempts", "1", "dead_letter_topic", dead, "handle_timeout", "10m")
			const records = 5
			for i := range records {
				s.kafka.Produce(&kgo.Record{Topic: in, Key: []byte{byte(i)}, Value: fmt.Appendf(nil, "!sleep:3000:%d", i)})
			}
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				msg, err := s.nats.Connect().Request("wasmbus.rpc.scaling."+providerID+".status", nil, testkit.DefaultTimeout)
				if err != nil {
					return err
				}
				var p status.Provider
				if err := json.Unmarshal(msg.Data, &p); err != nil {
					return err
				}
				for _, l := range p.Links {
					if l.Name == in && l.InFlight == records {
						return nil
					}
				}
				return fmt.Errorf("links are %+v", p.Links)
			})
			s.host.Scale("sleeper", testkit.ComponentWasm(t, "echo"), to)
			if to == 0 {
				s.host.Scale("sleeper", testkit.ComponentWasm(t, "echo"), records)
			}
			s.drained("sleeper", in, in)
			s.kafka.Read(in+".reply", records)
			for _, end := range s.kafka.EndOffsets(dead) {
				if end > 0 {
					t.Errorf("%d dead letters", end)
				}
			}
		})
	}
}
