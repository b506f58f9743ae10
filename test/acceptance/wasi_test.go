//go:build acceptance

package acceptance

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// environment is what the shims behind a component are told.
func environment(p *place) []string {
	return []string{"MESSAGING_KAFKA_URL=http://" + p.listen, "MESSAGING_KAFKA_TOKEN=" + token}
}

// recordsEcho is the component for whole records, with what stands behind it and the shim of this name before it.
func recordsEcho(t *testing.T, before string) string {
	t.Helper()
	component := testkit.Compose(t, testkit.ComponentWasm(t, "records-echo"), testkit.ShimWasm(t, "producer"))
	return testkit.Compose(t, testkit.ShimWasm(t, before), component)
}

func startWasiProcessor(p *place, settings map[string]string) {
	p.t.Helper()
	host := testkit.StartWasiHost(p.t, recordsEcho(p.t, "processor"), environment(p)...)
	p.app = host
	startBridge(p, "http-records", host.URL(), settings)
}

func startWasiHandler(p *place, settings map[string]string) {
	p.t.Helper()
	host := testkit.StartWasiHost(p.t, recordsEcho(p.t, "handler"), environment(p)...)
	p.app = host
	startBridge(p, "http-records", host.URL(), settings)
}

func startWasiMessages(p *place, settings map[string]string) {
	p.t.Helper()
	host := testkit.StartWasiHost(p.t, realEcho(p.t), environment(p)...)
	p.app = host
	startBridge(p, "http-messages", host.URL(), settings)
}
