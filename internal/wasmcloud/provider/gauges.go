package provider

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
)

// snapshot is what metrics ask for at each scrape.
func (p *Provider) snapshot(conn *nats.Conn) telemetry.Snapshot {
	s := telemetry.Snapshot{Healthy: p.Health().Healthy}
	p.mu.RLock()
	units := make(map[lattice.LinkID]*link, len(p.links))
	for id, unit := range p.links {
		units[id] = unit
	}
	p.mu.RUnlock()
	for id, unit := range units {
		state, _ := unit.health()
		s.Links = append(s.Links, telemetry.LinkHealth{
			Component: id.Peer, Link: id.Name, Package: id.Namespace + ":" + id.Package, Direction: id.Direction.String(), State: state,
		})
	}
	now := time.Now()
	for _, sub := range p.subscriptions.list() {
		s.Consumers = append(s.Consumers, sub.load(now))
	}
	b := p.budget.Status()
	s.Memory = telemetry.MemoryCounts{Limit: p.lid.Bytes, Budget: b.Limit, Used: b.Used, Refused: b.Refused}
	calls, wire := p.server.Stats(), conn.Stats()
	s.Lattice = telemetry.LatticeCounts{
		Connected: conn.IsConnected(), Reconnects: wire.Reconnects,
		Calls: calls.Calls, Repeats: calls.AcceptsRepeated, Refused: calls.Refused,
		Unclosed: calls.Unclosed, Malformed: calls.Malformed, Failed: calls.Failed,
		RunningCalls: calls.Running, WaitingCalls: calls.Waiting, AwaitedCalls: calls.Awaited,
	}
	return s
}

// list returns the subscriptions of the moment.
func (s *subscriptions) list() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.open), func(sub *subscription) bool { return len(sub.users) == 0 }) // they end
}

// load is what the consumer has to do and has not done.
func (s *subscription) load(now time.Time) telemetry.ConsumerLoad {
	d := s.Status().Dispatch
	l := telemetry.ConsumerLoad{
		Component: s.component, Link: s.link, InFlight: d.InFlight, Waiting: d.Waiting, BufferedBytes: d.Buffered,
	}
	if !d.OldestCall.IsZero() {
		l.OldestCall = max(0, now.Sub(d.OldestCall).Seconds())
	}
	if f := d.Failing; f != nil {
		l.FailedCalls = f.Calls
	}
	if !d.Oldest.IsZero() {
		l.OldestUnfinished = now.Sub(d.Oldest).Seconds()
	}
	for _, p := range s.Progress() {
		if p.Held != "" {
			l.Held++
		}
		l.CommitAge = max(l.CommitAge, p.Uncommitted.Seconds())
		l.Partitions = append(l.Partitions, telemetry.PartitionLag{
			Topic: s.p.secrets.Value(p.Topic), Partition: p.Partition, Committed: p.Committed, Lag: p.Lag, LagSeconds: p.LagTime.Seconds(),
		})
	}
	return l
}

// health is the state of a link, and what is wrong with it.
func (l *link) health() (status.State, status.Problems) {
	l.mu.Lock()
	stopping := l.stopping
	l.mu.Unlock()
	if stopping {
		return status.Stopping, nil
	}
	problems := l.problems()
	return problems.State(), problems
}
