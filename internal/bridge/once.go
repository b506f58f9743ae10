package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// onceEvery is how often a bridge that ends by itself looks whether it is done, and onceSettled how long it must have
	// been: a group may give it further partitions. That is how often it asks Kafka for what others have.
	onceEvery   = 250 * time.Millisecond
	onceSettled = time.Second
)

// DefaultPatience is how long a bridge that ends by itself waits while nothing moves.
const DefaultPatience = time.Minute

// drain returns when the groups of all routes have read their topics whole and nothing is in flight here, with an error
// when that cannot be: a route is refused, a partition is held, nothing has moved for as long as patience lasts, or ctx
// ends before.
func (b *Bridge) drain(ctx context.Context) error {
	reads := false
	for _, r := range b.current().Routes {
		if r.Reads() && r.Settings.Consumer.GroupProtocol == settings.GroupShare {
			return fmt.Errorf("route %s has group_protocol=share, of which nobody knows when all is read: use another group_protocol with --once", r.Name)
		}
		reads = reads || r.Reads()
	}
	if !reads {
		return errNothingRead
	}
	patience := b.o.Patience
	if patience <= 0 {
		patience = DefaultPatience
	}
	tick := time.NewTicker(onceEvery)
	defer tick.Stop()
	var last progress
	var groups groups
	moved, done := time.Now(), time.Time{}
	left := []string{"the routes have only begun to read"}
	for {
		select {
		case <-ctx.Done():
			return stopped(left)
		case <-tick.C:
		}
		s := b.Status(ctx)
		here := unfinished(&s)
		now := time.Now()
		if len(here) == 0 {
			if now.Sub(groups.askedAt) >= onceSettled {
				groups = b.askGroups(ctx, now, groups.committed)
			}
			here = groups.left
		}
		if ctx.Err() != nil {
			return stopped(left) // what was asked last may have no answer for that alone
		}
		left = here
		switch {
		case len(left) > 0:
			done = time.Time{}
		case done.IsZero():
			done = now
		case now.Sub(done) >= onceSettled:
			b.Log.Info("all is read and finished")
			return nil
		}
		if err := hopeless(&s); err != nil {
			return err
		}
		if p := last.after(&s, groups.committed); p != last {
			last, moved = p, now
		} else if len(left) > 0 && now.Sub(moved) >= patience {
			return fmt.Errorf("nothing has moved for %s: %s", patience, strings.Join(left, "; "))
		}
	}
}

// stopped is the end of a bridge that is told to end, with what it has left to do.
func stopped(left []string) error {
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("it was stopped before all was read and finished: %s", strings.Join(left, "; "))
}

// groups is how far the groups of the routes are in all partitions of their topics. Other copies have partitions, too,
// and those of one that was killed are nobody's for a while: what this copy has says nothing of them.
type groups struct {
	askedAt time.Time
	// left says what is not read yet, route by route.
	left []string
	// committed changes when a group has got on.
	committed int64
}

// askGroups asks Kafka. Where that does not answer, the groups are as far as they were before.
func (b *Bridge) askGroups(ctx context.Context, now time.Time, before int64) groups {
	g := groups{askedAt: now}
	c := b.current()
	for _, r := range c.Routes {
		if !r.Reads() {
			continue
		}
		lag, err := b.groupLag(ctx, c.Name, r)
		if err != nil {
			g.left = append(g.left, fmt.Sprintf("route %s: how far its group is behind is not known: %v", r.Name, err))
			g.committed = before
			continue
		}
		if text := unread(lag); text != "" {
			g.left = append(g.left, fmt.Sprintf("route %s has finished what it was given, and %s", r.Name, text))
		}
		for i := range lag {
			g.committed += max(lag[i].Committed, 0)
		}
	}
	return g
}

func (b *Bridge) groupLag(ctx context.Context, bridge string, r *config.Route) ([]status.Partition, error) {
	now, done := context.WithCancel(context.Background())
	done() // a route that is not there is not waited for
	found := b.Routes.Find(now, route.ID{Peer: bridge, Name: r.Name, Variant: reading})
	if found == nil {
		return nil, errors.New("the route is not there")
	}
	return found.GroupLag(ctx)
}

// unread says what a group has not read of its partitions, "" where that is nothing.
func unread(partitions []status.Partition) string {
	const shown = 8
	var names []string
	behind, more := int64(0), 0
	for i := range partitions {
		p := &partitions[i]
		if p.Lag == 0 {
			continue
		}
		behind += max(p.Lag, 0)
		name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
		switch {
		case len(names) == shown:
			more++
			continue
		case p.Partition < 0:
			name = p.Topic + ", which is not there"
		case p.Lag < 0 && p.Committed < 0:
			name += ", where it has no offset yet"
		case p.Lag < 0:
			name += ", where its offset is not one of the log"
		}
		names = append(names, name)
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("its group is %d records behind in partitions that other members have, or had: %s", behind,
		strings.Join(names, "; "))
}

// unfinished says what is still to be done here, route by route.
func unfinished(s *status.Provider) []string {
	var left []string
	for i := range s.Links {
		l := &s.Links[i]
		if len(l.Topics) == 0 {
			continue
		}
		lag, unknown := int64(0), false
		for _, p := range l.Partitions {
			lag += max(p.Lag, 0)
			unknown = unknown || p.Lag < 0
		}
		switch {
		case l.State != status.Healthy:
			left = append(left, fmt.Sprintf("route %s is %s: %s", l.Name, l.State, l.Reason))
		case unknown:
			left = append(left, fmt.Sprintf("route %s: how far it is behind is not known yet", l.Name))
		case lag > 0 || l.InFlight > 0 || l.Waiting > 0:
			left = append(left, fmt.Sprintf("route %s is %d records behind, %d are in flight", l.Name, lag, l.InFlight))
		}
	}
	return left
}

// hopeless is what does not mend itself.
func hopeless(s *status.Provider) error {
	for i := range s.Links {
		l := &s.Links[i]
		if l.Problems.Has(status.ProblemRefused) || l.Problems.Has(status.ProblemHeld) {
			return fmt.Errorf("route %s cannot go on: %s", l.Name, l.Reason)
		}
	}
	return nil
}

// progress changes whenever something has moved. What the application or callers publish does not count: the outputs of
// a record that comes again and again are published each time as far as Kafka takes them.
type progress struct {
	committed, records float64
	// finished is the most records that were ever finished: while one waits to come again it may seem to be.
	finished float64
	groups   int64
}

// after is the progress that s shows, where p was the one before.
func (p progress) after(s *status.Provider, groups int64) progress {
	now := progress{groups: groups}
	open := 0.0
	for i := range s.Links {
		l := &s.Links[i]
		for _, one := range l.Partitions {
			now.committed += float64(one.Committed)
		}
		now.records += l.Counters.RecordsIn + l.Counters.DeadLetters + l.Counters.Skipped
		now.finished += l.Counters.RecordsIn
		open += float64(l.Waiting + l.InFlight)
	}
	now.finished = max(now.finished-open, p.finished)
	return now
}
