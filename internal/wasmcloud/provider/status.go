package provider

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/process"
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

// MayControl implements lattice.ControlTarget.
func (p *Provider) MayControl() bool { return p.Own.ControlLattice }

// Control implements lattice.ControlTarget. NATS does not tell who sends: the name is what the sender says.
func (p *Provider) Control(ctx context.Context, text []byte) []byte {
	request, err := control.Parse(text)
	if err == nil && !p.Mine(&request) {
		return nil
	}
	var answer control.Answer
	if err != nil {
		answer = control.Answer{Error: err.Error(), Code: control.CodeBad}
		p.Log.Warn("a request to act on a link cannot be read", "error", err)
	} else {
		by := process.Operator{Name: request.By, Via: "lattice, by the name that he gives"}
		answer = p.Process.Control(ctx, by, request)
	}
	data, err := json.Marshal(answer)
	if err != nil {
		p.Log.Error("the answer to a request to act on a link cannot be encoded", "error", err)
		return nil
	}
	return data
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
