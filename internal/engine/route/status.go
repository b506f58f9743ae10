package route

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

const (
	// observeEvery is how soon a change of state is seen where nobody asks.
	observeEvery = time.Second
	// countEvery is after how many looks everything is counted too, which costs more, for the rates.
	countEvery = 5
)

// observer makes statuses and remembers what only shows over time.
type observer struct {
	started time.Time

	mu       sync.Mutex
	tracker  status.Tracker
	reported map[ID]reported
}

// reported is what the log was last told of a link.
type reported struct {
	state  status.State
	reason string
	at     time.Time
}

// reportEvery keeps a link that goes up and down, or whose reason changes all the time, from filling the log.
const reportEvery = 30 * time.Second

// observe looks at the links until ctx ends, so that the times in a status are right when somebody asks.
func (s *Set) observe(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%countEvery == 0 {
			s.endHolds(time.Now())
			s.Status(status.Provider{})
		} else {
			s.look()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look notes the states of the links.
func (s *Set) look() {
	now := time.Now()
	s.endHolds(now)
	units := s.current()
	ids := sortedIDs(units)
	links := make([]status.Link, len(ids))
	for i, id := range ids {
		links[i] = units[id].brief()
	}
	s.observer.mu.Lock()
	defer s.observer.mu.Unlock()
	s.observer.tracker.ObserveStates(now, links)
	s.observer.report(ids, units, links, now)
}

// startObserving begins to observe; the function that it returns ends that and waits for it.
func (s *Set) startObserving() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.observe(ctx) })
	return func() {
		cancel()
		done.Wait()
	}
}

// Status tells how the routes are, and what the process takes of memory. about says who asks and what is wrong with
// that; its other fields are filled in.
func (s *Set) Status(about status.Provider) status.Provider {
	counts, err := s.Metrics.Counts()
	if err != nil {
		s.Log.Error("the counters cannot be put into the status", "error", err)
	}
	texts := append(about.Problems.Texts(), s.Problems().Texts()...)
	about.Healthy, about.Message = len(texts) == 0, strings.Join(texts, "; ")
	about.Started, about.Time, about.Memory = s.observer.started, time.Now(), s.memory()
	units := s.current()
	ids := sortedIDs(units)
	first := firsts{consumers: make(map[*reading]string), counted: make(map[telemetry.LinkName]string)}
	about.Links = make([]status.Link, 0, len(ids))
	for _, id := range ids {
		about.Links = append(about.Links, units[id].describe(counts, &first, about.Time))
	}
	s.observer.mu.Lock()
	defer s.observer.mu.Unlock()
	s.observer.tracker.Observe(&about)
	about.Causes = status.Causes(about.Links)
	s.observer.report(ids, units, about.Links, about.Time)
	return about
}

// memory is what the process may take and has taken.
func (s *Set) memory() status.Memory {
	b := s.Memory.Status()
	var resident int64
	if s.Resident != nil {
		resident = s.Resident()
	}
	return status.Memory{
		LimitBytes: s.ProcessLimit.Bytes, From: s.ProcessLimit.From, ResidentBytes: resident, BudgetBytes: b.Limit,
		UsedBytes: b.Used, RefusedTimes: b.Refused,
	}
}

// report logs what has changed with links. It is called with observer.mu held.
func (o *observer) report(ids []ID, units map[ID]*Route, links []status.Link, now time.Time) {
	before := o.reported
	o.reported = make(map[ID]reported, len(ids))
	for i, id := range ids {
		unit, l := units[id], &links[i]
		last := before[id]
		o.reported[id] = last
		if !worthTelling(last, l) || (!last.at.IsZero() && now.Sub(last.at) < reportEvery) {
			continue
		}
		o.reported[id] = reported{l.State, l.Reason, now}
		if l.State.Ill() {
			unit.log.Warn(unit.shared.Words.Pick("the link is not healthy", "the route is not healthy"), "reason", l.Reason)
			continue
		}
		unit.log.Info(unit.shared.Words.Pick("the link is healthy again", "the route is healthy again"))
		unit.errors.Add(status.Event{Time: now, Text: "healthy again"})
	}
}

func worthTelling(last reported, l *status.Link) bool {
	switch {
	case l.State.Ill():
		return !last.state.Ill() || last.reason != l.Reason
	case l.State == status.Healthy:
		return last.state.Ill()
	default:
		return false
	}
}

// firsts are the links at which shared figures stand: the first of those that share them.
type firsts struct {
	consumers map[*reading]string
	counted   map[telemetry.LinkName]string // links that read, of one component and name
}

// brief says which link it is and how it is.
func (r *Route) brief() status.Link {
	state, problems := r.health()
	s := r.shown()
	s.State, s.Reason, s.Problems = state, problems.String(), problems
	if s.Paused = r.paused(); s.Paused != nil {
		s.Paused = new(*s.Paused)
		s.Paused.By, s.Paused.Why = r.shared.Secrets.Text(s.Paused.By), r.shared.Secrets.Text(s.Paused.Why)
		if state == status.Paused {
			s.Reason = s.Paused.String()
		}
	}
	return s
}

// describe is the link's part of a status. Since and Rates are for the tracker.
func (r *Route) describe(counts map[telemetry.LinkName]status.Counters, first *firsts, at time.Time) status.Link {
	s := r.brief()
	s.RecentErrors, s.RecentDeadLetters = r.shared.fitEvents(r.errors.List()), r.shared.fitEvents(r.deadLetters.List())
	s.DeadLetterReasons = r.shared.fitReasons(r.deadLetters.Reasons())
	now, _ := r.state()
	if now == nil {
		return s
	}
	all := counts[telemetry.LinkName{Component: r.id.Peer, Link: r.id.Name}]
	if now.wanted.Role.Produces() {
		s.Counters.RecordsOut, s.Counters.BytesOut = all.RecordsOut, all.BytesOut
		s.Counters.Publishes, s.Counters.PublishSeconds = all.Publishes, all.PublishSeconds
	}
	if now.claim == nil {
		return s
	}
	c := &now.wanted.Settings.Consumer
	s.Group, s.Topics = c.Group, slices.Clone(c.Topics)
	if c.TopicPattern != nil {
		s.Topics = []string{"/" + c.TopicPattern.String() + "/"}
	}
	s.Group = r.shared.Secrets.Value(s.Group)
	for i := range s.Topics {
		s.Topics[i] = r.shared.Secrets.Value(s.Topics[i])
	}
	first.count(&s, &all)
	if sub := now.claim.reading(); sub != nil && first.reads(&s, sub) {
		describeConsumer(&s, sub.Consumer, r.shared.Secrets, at)
		for i := range s.Partitions {
			one := &s.Partitions[i]
			one.Topic, one.Held = r.shared.Secrets.Value(one.Topic), r.shared.Secrets.Text(one.Held)
		}
	}
	return s
}

// count gives what a component's links of one name have read to the first of them that reads: the metrics do not tell
// them apart.
func (f *firsts) count(s *status.Link, all *status.Counters) {
	name := telemetry.LinkName{Component: s.Component, Link: s.Name}
	if other, taken := f.counted[name]; taken {
		s.SharedWith = other
		return
	}
	f.counted[name] = s.ID()
	c := &s.Counters
	c.RecordsIn, c.BytesIn, c.Deliveries, c.HandleSeconds = all.RecordsIn, all.BytesIn, all.Deliveries, all.HandleSeconds
	c.DeadLetters, c.Skipped, c.Rebalances, c.Missed = all.DeadLetters, all.Skipped, all.Rebalances, all.Missed
	c.Redeliveries, c.Filtered, c.FilterFailures = all.Redeliveries, all.Filtered, all.FilterFailures
}

// reads tells whether a link is the one at which its consumer's figures stand.
func (f *firsts) reads(s *status.Link, sub *reading) bool {
	if other, taken := f.consumers[sub]; taken {
		s.SharedWith = other
		return false
	}
	f.consumers[sub] = s.ID()
	return true
}

func describeConsumer(s *status.Link, c *consume.Consumer, secrets *redact.Redactor, now time.Time) {
	d := c.Status().Dispatch
	s.KeylessOnly = d.KeylessOnly
	if d.Hanging != nil && s.State == status.Healthy {
		s.Advice = consume.HangingText(d.Hanging, now)
	}
	if !d.OldestCall.IsZero() {
		s.OldestCallSeconds = max(0, now.Sub(d.OldestCall).Seconds())
	}
	if f := d.LastFailure; f != nil {
		s.LastFailure = &status.Event{Time: f.At, Text: secrets.Clip(f.Err.Error(), status.MaxEventText),
			Topic: secrets.Value(f.Topic), Partition: &f.Partition, Offset: &f.Offset}
	}
	s.InFlight, s.Waiting, s.BufferedBytes = d.InFlight, d.Waiting, d.Buffered
	if !d.Oldest.IsZero() {
		s.OldestUnfinishedSeconds = max(0, now.Sub(d.Oldest).Seconds())
	}
	s.Partitions = c.Partitions()
}

// errNotReading is the error of who asks what only a reading knows.
var errNotReading = errors.New("nothing is read at the moment")

// GroupLag asks Kafka how far the group of the route is in all partitions of its topics, whoever has them; see
// [consume.Consumer.GroupLag].
func (r *Route) GroupLag(ctx context.Context) ([]status.Partition, error) {
	now, _ := r.state()
	if now == nil || now.claim == nil {
		return nil, errNotReading
	}
	reads := now.claim.reading()
	if reads == nil {
		return nil, errNotReading
	}
	lag, err := reads.GroupLag(ctx)
	if err != nil {
		return nil, r.shared.Secrets.Err(err)
	}
	return lag, nil
}
