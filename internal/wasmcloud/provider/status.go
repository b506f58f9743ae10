package provider

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// Status implements admin.Source.
func (p *Provider) Status(context.Context) status.Provider {
	s := p.routes.Status(status.Provider{
		Version: version.Get().Version, ProviderKey: p.data.ProviderKey, Lattice: p.data.Lattice, HostID: p.data.HostID,
		InstanceID: p.data.InstanceID, Problems: p.ownProblems(),
	})
	p.mu.RLock()
	defer p.mu.RUnlock()
	interfaces := make(map[string][]string, len(p.links))
	for id, link := range p.links {
		if link != nil {
			interfaces[id.String()] = link.Interfaces
		}
	}
	for i := range s.Links {
		s.Links[i].Interfaces = slices.Clone(interfaces[s.Links[i].ID()])
	}
	return s
}

// TellStatus implements lattice.StatusTeller.
func (p *Provider) TellStatus(limit int) ([]byte, error) {
	return status.Encode(p.Status(context.Background()), limit)
}

// snapshot is what metrics ask for at each scrape.
func (p *Provider) snapshot(conn *nats.Conn) telemetry.Snapshot {
	s := p.routes.Snapshot()
	s.Healthy = p.Health().Healthy
	calls, wire := p.server.Stats(), conn.Stats()
	s.Lattice = telemetry.LatticeCounts{
		Connected: conn.IsConnected(), Reconnects: wire.Reconnects,
		Calls: calls.Calls, Repeats: calls.AcceptsRepeated, Refused: calls.Refused,
		Unclosed: calls.Unclosed, Malformed: calls.Malformed, Failed: calls.Failed,
		RunningCalls: calls.Running, WaitingCalls: calls.Waiting, AwaitedCalls: calls.Awaited,
	}
	return s
}
