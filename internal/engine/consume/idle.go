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
	// checkIdleEvery is how long after its last failure a partition of which nothing came is looked at, and how often.
	checkIdleEvery = time.Second
	// checkIdleTimeout is how long a look may take, beyond the time for which a fetch of the client's may be ahead of it.
	checkIdleTimeout = 10 * time.Second
)

// idlePartition is a partition of which nothing has come for a while, though there was something to tell.
type idlePartition struct {
	tp        topicPartition
	a         *assignment
	next      int64
	end       int64
	failedAt  time.Time
	silent    bool // it has records, to our knowledge, and nothing keeps the client from them
	refetched bool // it was fetched anew for that, and still nothing came
}

// watchIdle asks for partitions of which the client tells nothing. A partition that failed is known to be readable
// again only when records come or a fetch of ours finds none; and some errors it tells once, or not at all, while it
// does not read the partition any more.
func (s *session) watchIdle(ctx context.Context) {
	for last := time.Now(); backoff.Sleep(ctx, measureEvery); {
		if s.cfg.Settings.Consumer.ReadCommitted && time.Since(last) >= kafka.StableEvery {
			s.checkOpenTransactions(ctx)
			last = time.Now()
		}
		for _, q := range s.idlePartitions(time.Now()) {
			s.checkIdle(ctx, q)
		}
	}
}

func (s *session) checkIdle(ctx context.Context, q idlePartition) {
	ctx, cancel := context.WithTimeout(ctx, checkIdleTimeout+s.cfg.Settings.Consumer.FetchMaxWait)
	defer cancel()
	if q.next == dispatch.NotYet {
		s.checkPosition(ctx, q)
	} else {
		s.checkLog(ctx, q)
	}
}

func (s *session) idlePartitions(now time.Time) []idlePartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	slow := s.slow()
	var list []idlePartition
	for tp, a := range s.assigned {
		next := a.Next()
		failing := a.failures > 0 && now.Sub(a.failedAt) >= checkIdleEvery && !a.backingOff(now)
		// Where the leader does not even tell the end, it may be gone.
		silent := !slow && next != dispatch.NotYet && !a.paused && !s.noRoom(a) &&
			now.Sub(a.answeredAt) >= endsEvery && now.Sub(a.refetchedAt) >= endsEvery &&
			(a.end > next || now.Sub(a.endAt) >= 2*endsEvery)
		if !failing && !silent || now.Sub(a.checkedAt) < checkIdleEvery {
			continue
		}
		a.checkedAt = now
		list = append(list, idlePartition{tp, a, next, a.end, a.failedAt, silent, !a.refetchedAt.IsZero()})
	}
	return list
}

func (s *session) checkLog(ctx context.Context, q idlePartition) {
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
		s.readable(q.tp, q.a)
	case q.silent:
		if q.refetched {
			s.noteFailure(q.tp, q.a, fmt.Errorf("nothing comes of it, though its log holds records from offset %d up to %d", q.next, q.end))
		}
		s.refetch(q.a)
	}
}

// refetch has a partition fetched anew from our place, which ends whatever keeps the client from it.
func (s *session) refetch(a *assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	a.refetchedAt, a.reposition, a.retryAt = now, true, now
	if s.wakePoll != nil {
		s.wakePoll()
	}
}

// errPositionKnown ends a session that reads without a partition which it could read now.
var errPositionKnown = errors.New("the offsets of a partition could not be fetched when it was assigned, and can be now")

// checkPosition begins anew when the position of a partition can be had that the client could not get: it goes on
// without the partition until the next assignment.
func (s *session) checkPosition(ctx context.Context, q idlePartition) {
	offsets, err := kadm.NewClient(s.cl).FetchOffsetsForTopics(ctx, s.cfg.Settings.Consumer.Group, q.tp.topic)
	if err != nil {
		return
	}
	if o, ok := offsets.Lookup(q.tp.topic, q.tp.partition); ok && o.Err == nil {
		s.fail(fmt.Errorf("reading %s: %w", q.tp, errPositionKnown))
	}
}

// checkOpenTransactions watches the last stable offsets of partitions that are read up to there.
func (s *session) checkOpenTransactions(ctx context.Context) {
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
func addOpenTransactions(ps *status.Problems, stable *kafka.StableOffsets) {
	for _, standing := range stable.OpenTransactions(time.Now()) {
		ps.Add(status.ProblemPartition, standing.String())
	}
}
