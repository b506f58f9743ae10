package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
)

const (
	// errorPause is for how long what has failed rests before it is tried again.
	errorPause = 500 * time.Millisecond
	// retryLook is how often a partition is looked at that is to be tried again and cannot be, for there is no room, or a
	// fetch would be given up that has been under way for longer than a broker waits for records, and slowFetch.
	retryLook = errorPause
	slowFetch = time.Second
)

// partitionBackoff is for how long a partition rests that cannot be read. The others are read meanwhile.
var partitionBackoff = backoff.Backoff{First: errorPause, Most: 5 * time.Second}

// failure is what is known of a partition that cannot be read. session.mu protects it.
type failure struct {
	// retryAt is when the partition is to be tried again; zero while it is not resting.
	retryAt time.Time
	// failures is how often in a row it has failed, failedAt when it did last, heardAt when anything came of it last, and
	// lookedAt when it was last looked at because nothing did, and nudgedAt when it was fetched anew for that.
	failures                                     int
	failedAt, answeredAt, checkedAt, refetchedAt time.Time
	// noMemory is how often in a row there was no room for its next batch.
	noMemory int
	// reposition tells that the client's own place may be another than ours.
	reposition bool
	// epoch is the leader epoch of the last record that was read, or was committed, -1 where it is not known.
	epoch int32
	// sure is the last place of which it was found that the leader's log has it, parted is where its log ends where it
	// does not, placeAskedAt is when that was to be asked for last.
	sure         readTo
	parted       *kgo.ErrDataLoss
	placeAskedAt time.Time
}

// backingOff tells whether the partition is not to be tried again yet.
func (f *failure) backingOff(now time.Time) bool { return now.Before(f.retryAt) }

// fetchFailed acts on the error of one partition. Errors that the client gets over by itself never come here.
func (s *session) fetchFailed(ctx context.Context, tp topicPartition, a *assignment, err error) {
	if errors.Is(err, kerr.UnknownTopicID) {
		s.recreated(tp, a)
		return
	}
	if errors.Is(err, kafka.ErrNoRoom) {
		s.refusedForMemory(tp, a)
		return
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		if err = s.outOfRange(ctx, tp, a); err == nil {
			s.readable(tp, a)
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	s.noteFailure(tp, a, err)
	_, answered := errors.AsType[*kerr.Error](err)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.retryAt = a.failedAt.Add(partitionBackoff.After(a.failures))
	a.reposition = a.reposition || !answered
	if !a.paused {
		a.paused = true
		s.cl.PauseFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
	}
	s.paused.Store(true)
}

// noteFailure notes that a partition cannot be read.
func (s *session) noteFailure(tp topicPartition, a *assignment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.assigned[tp] != a {
		return
	}
	first := a.failures == 0
	a.failures++
	a.failedAt = time.Now()
	if news := s.problems.setPartition(tp, err); first && news {
		s.log.Warn("a partition cannot be read: it is tried again and again", "topic", tp.topic, "partition", tp.partition,
			"offset", a.Next(), "reason", s.cfg.Access.Explain(err).Text)
	}
}

// readable notes that a partition can be read.
func (s *session) readable(tp topicPartition, a *assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.failures > 0 {
		s.problems.clearPartition(tp)
		s.log.Info("the partition can be read again", "topic", tp.topic, "partition", tp.partition)
	}
	a.failures, a.answeredAt, a.refetchedAt = 0, time.Now(), time.Time{}
}

// untilRetry returns a context that ends when a partition is to be tried again.
func (s *session) untilRetry(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	for _, a := range s.assigned {
		if a.retryAt.IsZero() {
			continue
		}
		at := a.retryAt
		if now := time.Now(); !a.backingOff(now) {
			at = now.Add(retryLook) // something keeps it from being tried again
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	var until context.Context
	if next.IsZero() {
		until, s.wakePoll = context.WithCancel(ctx)
	} else {
		until, s.wakePoll = context.WithDeadline(ctx, next)
	}
	return until, s.wakePoll
}

// noRoom tells whether a partition is not to be read whatever else there is. s.mu is held.
func (s *session) noRoom(a *assignment) bool { return a.standsStill() || a.full(s.share()) }

// slow tells whether an answer is under way that takes long to arrive.
func (s *session) slow() bool {
	return s.fetching.longerThan(s.cfg.Settings.Consumer.FetchMaxWait + slowFetch)
}

// retry lets partitions be fetched again whose rest is over. No rebalance can be under way: between one and the other
// the place of an assignment would be put down as that of the next.
//
// The client gets our position anew. It goes on behind the first record of some batches that it cannot read, and it
// leaves a partition for good whose batch is too large for it.
func (s *session) retry(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	s.partedPlaces()
	now := time.Now()
	slow := s.slow()
	resume := make(map[string][]int32)
	places := make(map[string]map[int32]kgo.EpochOffset)
	s.mu.Lock()
	for tp, a := range s.assigned {
		if a.retryAt.IsZero() || a.backingOff(now) || s.noRoom(a) || a.reposition && slow {
			continue
		}
		if a.unsure() {
			if now.Sub(a.placeAskedAt) >= retryLook { // polls end as often as there are records of other partitions
				a.placeAskedAt = now
				signal(s.unsure)
			}
			continue
		}
		if next := a.Next(); a.reposition && next != dispatch.NotYet {
			if places[tp.topic] == nil {
				places[tp.topic] = make(map[int32]kgo.EpochOffset)
			}
			places[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: a.epoch, Offset: next}
			a.sure = readTo{} // of the leader that there was
		}
		a.retryAt, a.reposition, a.paused = time.Time{}, false, false
		resume[tp.topic] = append(resume[tp.topic], tp.partition)
	}
	s.mu.Unlock()
	s.setPositions(places)
	if len(resume) > 0 {
		s.cl.ResumeFetchPartitions(resume)
	}
}

// setPositions has partitions read from the given offsets on. No rebalance can be under way.
//
// The client does nothing where it takes the offset for that of its last poll, though its own place may be another. No
// place that it can have has the epoch of the first call; nothing is polled before the second.
func (s *session) setPositions(places map[string]map[int32]kgo.EpochOffset) {
	const none = -2
	other := make(map[string]map[int32]kgo.EpochOffset, len(places))
	for topic, partitions := range places {
		other[topic] = make(map[int32]kgo.EpochOffset, len(partitions))
		for id, place := range partitions {
			other[topic][id] = kgo.EpochOffset{Epoch: none, Offset: place.Offset}
		}
	}
	s.cl.SetOffsets(other)
	s.cl.SetOffsets(places)
}
