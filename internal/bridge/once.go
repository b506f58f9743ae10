package bridge

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// onceEvery is how often a bridge that ends by itself looks whether it is done, and onceSettled how long it must have
	// been: a group may give it further partitions.
	onceEvery   = 250 * time.Millisecond
	onceSettled = time.Second
)

// DefaultPatience is how long a bridge that ends by itself waits while nothing moves.
const DefaultPatience = time.Minute

// drain returns when the lag of all routes is 0 and nothing is in flight, with an error when that cannot be: a route is
// refused, a partition is held, or nothing has moved for as long as patience lasts.
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
	moved, done := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil // it was asked to end
		case <-tick.C:
		}
		s := b.Status(ctx)
		left := unfinished(&s)
		now := time.Now()
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
		if p := progressOf(&s); p != last {
			last, moved = p, now
		} else if len(left) > 0 && now.Sub(moved) >= patience {
			return fmt.Errorf("nothing has moved for %s: %s", patience, strings.Join(left, "; "))
		}
	}
}

// unfinished says what is still to be done, route by route.
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

// progress changes whenever something has moved.
type progress struct {
	committed, records float64
}

func progressOf(s *status.Provider) progress {
	var p progress
	for i := range s.Links {
		l := &s.Links[i]
		for _, one := range l.Partitions {
			p.committed += float64(one.Committed)
		}
		p.records += l.Counters.RecordsIn + l.Counters.RecordsOut + l.Counters.DeadLetters + l.Counters.Skipped
	}
	return p
}
