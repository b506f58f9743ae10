package provider

import (
	"context"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// Status implements admin.Source.
func (p *Provider) Status(context.Context) status.Provider {
	s := p.Process.Status(p.pressure())
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

// AnswerStatus implements lattice.StatusSource.
func (p *Provider) AnswerStatus(limit int) ([]byte, error) {
	return status.Encode(p.Status(context.Background()), limit)
}

// Snapshot implements process.FrontEnd.
func (p *Provider) Snapshot() telemetry.Snapshot {
	s := p.Routes.Snapshot()
	s.Healthy = p.Health().Healthy
	calls, wire := p.server.Stats(), p.conn.Stats()
	s.Lattice = telemetry.LatticeCounts{
		Connected: p.conn.IsConnected(), Reconnects: wire.Reconnects,
		Calls: calls.Calls, Repeats: calls.AcceptsRepeated, Refused: calls.Refused,
		Unclosed: calls.Unclosed, Malformed: calls.Malformed, Failed: calls.Failed,
		RunningCalls: calls.Running, WaitingCalls: calls.Waiting, AwaitedCalls: calls.Awaited,
	}
	return s
}
