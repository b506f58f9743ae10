package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// lookAfter is how long after its last failure a partition of which nothing came is looked at, and how often.
	lookAfter = time.Second
	// lookLimit is how long a look may take, beyond the time for which a fetch of the client's may be ahead of it.
	lookLimit = 10 * time.Second
)

// quiet is a partition of which nothing has come for a while, though there was something to tell.
type quiet struct {
	tp       topicPartition
	a        *assignment
	next     int64
	end      int64
	failedAt time.Time
	silent   bool // it has records, to our knowledge, and nothing keeps the client from them
	nudged   bool // it was fetched anew for that, and still nothing came
}

// look asks for partitions of which the client tells nothing. Of one that failed, that it can be read again is known
// only when records come or a fetch of ours finds none; and some errors it tells once, or not at all, while it does not
// read the partition any more.
func (s *session) look(ctx context.Context) {
	for last := time.Now(); backoff.Sleep(ctx, measureEvery); {
		if s.cfg.Settings.Consumer.ReadCommitted && time.Since(last) >= kafka.StableEvery {
			s.lookForOpenTransactions(ctx)
			last = time.Now()
		}
		for _, q := range s.quiet(time.Now()) {
			s.lookInto(ctx, q)
		}
	}
}

func (s *session) lookInto(ctx context.Context, q quiet) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit+s.cfg.Settings.Consumer.FetchMaxWait)
	defer cancel()
	if q.next == dispatch.NotYet {
		s.lookForPlace(ctx, q)
	} else {
		s.lookAt(ctx, q)
	}
}

func (s *session) quiet(now time.Time) []quiet {
	s.mu.Lock()
	defer s.mu.Unlock()
	slow := s.slow()
	var list []quiet
	for tp, a := range s.assigned {
		next := a.Next()
		failing := a.failures > 0 && now.Sub(a.failedAt) >= lookAfter && !a.rests(now)
		// Where the leader does not even tell the end, it may be gone.
		silent := !slow && next != dispatch.NotYet && !a.paused && !s.noRoom(a) &&
			now.Sub(a.heardAt) >= endsEvery && now.Sub(a.nudgedAt) >= endsEvery &&
			(a.end > next || now.Sub(a.endAt) >= 2*endsEvery)
		if !failing && !silent || now.Sub(a.lookedAt) < lookAfter {
			continue
		}
		a.lookedAt = now
		list = append(list, quiet{tp, a, next, a.end, a.failedAt, silent, !a.nudgedAt.IsZero()})
	}
	return list
}

func (s *session) lookAt(ctx context.Context, q quiet) {
	found, err := kafka.LookAt(ctx, s.cl, q.tp.topic, q.tp.partition, q.next, s.cfg.Settings.Consumer.ReadCommitted)
	if errors.Is(err, kafka.ErrNoAnswer) {
		return // which is told for the link as a whole
	}
	s.mu.Lock()
	news := q.a.Next() != q.next || !q.a.failedAt.Equal(q.failedAt)
	s.mu.Unlock()
	switch {
	case news:
	case err != nil:
		s.noteFailure(q.tp, q.a, err)
	case found == kafka.FoundNothing:
		s.well(q.tp, q.a)
	case q.silent:
		if q.nudged {
			s.noteFailure(q.tp, q.a, fmt.Errorf("nothing comes of it, though its log holds records from offset %d up to %d", q.next, q.end))
		}
		s.nudge(q.a)
	}
}

// nudge has a partition fetched anew from our place, which ends whatever keeps the client from it.
func (s *session) nudge(a *assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	a.nudgedAt, a.reposition, a.retryAt = now, true, now
	if s.wakePoll != nil {
		s.wakePoll()
	}
}

// errPlaceKnown ends a session that reads without a partition which it could read now.
var errPlaceKnown = errors.New("the offsets of a partition could not be fetched when it was assigned, and can be now")

// lookForPlace begins anew when the place of a partition is to be had that the client could not get: it goes on without
// the partition until the next assignment.
func (s *session) lookForPlace(ctx context.Context, q quiet) {
	offsets, err := kadm.NewClient(s.cl).FetchOffsetsForTopics(ctx, s.cfg.Settings.Consumer.Group, q.tp.topic)
	if err != nil {
		return
	}
	if o, ok := offsets.Lookup(q.tp.topic, q.tp.partition); ok && o.Err == nil {
		s.fail(fmt.Errorf("reading %s: %w", q.tp, errPlaceKnown))
	}
}

// lookForOpenTransactions watches the last stable offsets of partitions that are read up to there.
func (s *session) lookForOpenTransactions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measureLimit)
	defer cancel()
	read := make(map[string][]int32)
	s.mu.Lock()
	for tp, a := range s.assigned {
		if next := a.Next(); next != dispatch.NotYet && next >= a.end {
			read[tp.topic] = append(read[tp.topic], tp.partition)
		}
	}
	s.mu.Unlock()
	s.stable.Look(ctx, s.cl, read)
}

// addOpenTransactions tells of last stable offsets that stand.
func addOpenTransactions(ps *status.Problems, stable *kafka.Stable) {
	for _, standing := range stable.Standing(time.Now()) {
		ps.Add(status.ProblemPartition, standing.String())
	}
}
