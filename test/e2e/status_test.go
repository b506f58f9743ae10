//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Nobody tells the command which providers there are: it asks the real host.
func TestStatusFindsTheProviderOfARealHost(t *testing.T) {
	testkit.HostBinary(t)
	par := testkit.ProviderArchive(t)
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	kafka := testkit.Kfake(t)
	kafka.Topic("orders", 2)
	host := testkit.StartHost(t, ns, testkit.HostOptions{Lattice: "watched", Log: "info"})
	host.PutConfig("target", map[string]string{"hosts": kafka.Brokers()[0], "topic": "orders"})
	host.PutLink(testkit.ControlLink{Source: "echo", Target: "kafka", Interface: "consumer",
		TargetConfig: []string{"target"}})
	host.StartProvider("kafka", par)
	host.WaitHealthy("kafka")

	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		command := exec.CommandContext(t.Context(), testkit.Program(t), "status", "--nats",
			ns.URL(), "--lattice", "watched", "--json")
		var errOut bytes.Buffer
		command.Stderr = &errOut
		out, err := command.Output()
		if err != nil {
			return fmt.Errorf("%w: %s", err, &errOut)
		}
		var report struct {
			Status    string
			Providers []status.Provider
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if report.Status != "healthy" || len(report.Providers) != 1 {
			return fmt.Errorf("it answers %s", out)
		}
		p := report.Providers[0]
		if len(p.Links) != 1 || len(p.Links[0].Partitions) != 2 {
			return fmt.Errorf("it answers %s", out)
		}
		if l := p.Links[0]; p.ProviderKey != "kafka" || p.Lattice != "watched" || len(p.HostID) != 56 ||
			l.ID() != "echo/default" || l.Topics[0] != "orders" {
			t.Errorf("it answers %s", out)
		}
		return nil
	})
}
