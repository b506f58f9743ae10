package route

import (
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// Snapshot is what metrics ask for at each scrape, as far as it is about the routes and the memory of the process.
func (s *Set) Snapshot() telemetry.Snapshot {
	var snapshot telemetry.Snapshot
	for id, r := range s.current() {
		state, _ := r.health()
		snapshot.Links = append(snapshot.Links, telemetry.LinkHealth{
			Component: id.Peer, Link: id.Name, Package: r.label.Package, Direction: r.label.Direction, State: state,
		})
	}
	now := time.Now()
	for _, sub := range s.readings.list() {
		snapshot.Consumers = append(snapshot.Consumers, sub.load(now))
	}
	b := s.Memory.Status()
	snapshot.Memory = telemetry.MemoryCounts{Limit: s.ProcessLimit.Bytes, Budget: b.Limit, Used: b.Used, Refused: b.Refused}
	return snapshot
}

// list returns the readings of the moment.
func (s *readings) list() []*reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.open), func(sub *reading) bool { return len(sub.users) == 0 }) // they end
}

// load is what the consumer has to do and has not done.
func (s *reading) load(now time.Time) telemetry.ConsumerLoad {
	d := s.Status().Dispatch
	l := telemetry.ConsumerLoad{
		Component: s.claim.id.Peer, Link: s.claim.id.Name, InFlight: d.InFlight, Waiting: d.Waiting, BufferedBytes: d.Buffered,
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
	l.Partitions = s.Partitions()
	for i := range l.Partitions {
		p := &l.Partitions[i]
		if p.Held != "" {
			l.Held++
		}
		l.CommitAge = max(l.CommitAge, p.UncommittedSeconds)
		p.Topic = s.shared.Secrets.Value(p.Topic)
	}
	return l
}

// health is the state of a link, and what is wrong with it.
func (r *Route) health() (status.State, status.Problems) {
	r.mu.Lock()
	stopping := r.stopping
	r.mu.Unlock()
	if stopping {
		return status.Stopping, nil
	}
	problems := r.problems()
	if len(problems) == 0 && r.paused() != nil {
		return status.Paused, nil
	}
	return problems.State(), problems
}
