package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// onAssigned takes partitions over. Records come only after startOffsets has said from where.
func (s *session) onAssigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	s.cfg.Observer.Rebalanced()
	// A partition that the client assigns again without revoking it first begins anew: it may be another topic of the same
	// name.
	for _, a := range s.collect(added) {
		a.Abandon()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems.joined()
	if s.closing {
		return
	}
	signal(s.joined)
	member := s.member()
	for topic, partitions := range added {
		for _, id := range partitions {
			s.assigned[topicPartition{topic, id}] = &assignment{
				Partition: s.d.Open(topic, id, dispatch.NotYet), committed: commit{offset: -1}, end: -1, member: member, failure: failure{epoch: -1, answeredAt: time.Now()},
			}
		}
	}
	if len(added) > 0 {
		s.resize()
		signal(s.progress) // a poll that waits because all partitions are full has more now
		s.log.Info("partitions assigned", "partitions", added)
	}
}

// handOverReserve is the part of the rebalance timeout that is kept for the commit when partitions are revoked.
func (s *session) handOverReserve() time.Duration {
	return min(5*time.Second, s.cfg.Settings.Consumer.RebalanceTimeout/4)
}

// onRevoked hands partitions over: the component finishes what it holds, or the rebalance timeout runs low and it is
// given up; what is finished is committed; only then may another member have them. Heartbeats go on meanwhile.
func (s *session) onRevoked(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
	going := s.collect(revoked)
	if len(going) == 0 {
		return
	}
	s.log.Info("partitions revoked", "partitions", revoked)
	reserve := s.handOverReserve()
	drain, cancel := context.WithTimeout(ctx, s.cfg.Settings.Consumer.RebalanceTimeout-reserve)
	dispatch.CloseAll(drain, partitionsOf(going))
	cancel()
	ctx, cancel = context.WithTimeout(ctx, reserve)
	defer cancel()
	if err := s.commit(ctx, going); err != nil {
		s.log.Warn("committing revoked partitions failed: what was handled since the commit before will be delivered again", "error", err)
	}
	s.forget(going)
}

// onLost drops partitions that may belong to another member by now: the membership that they were given to is over,
// because the group forgot it or the client gave it up. Nothing is committed: the offset may be another's.
func (s *session) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	s.problems.left()
	s.unsettle()
	going := s.collect(lost)
	if len(going) == 0 {
		return
	}
	s.log.Warn("partitions given up: the membership in the group is over", "partitions", lost)
	for _, a := range going {
		a.Abandon()
	}
	// A commit that is under way carries the lost membership and is refused by the broker; it must be over before a
	// new membership begins, whose commits would count.
	s.committing.Lock()
	defer s.committing.Unlock()
	s.forget(going)
}

func (s *session) collect(partitions map[string][]int32) map[topicPartition]*assignment {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[topicPartition]*assignment)
	for topic, ids := range partitions {
		for _, id := range ids {
			if a, ok := s.assigned[topicPartition{topic, id}]; ok {
				found[topicPartition{topic, id}] = a
			}
		}
	}
	return found
}

func (s *session) forget(going map[topicPartition]*assignment) {
	resume := make(map[string][]int32)
	s.mu.Lock()
	for tp, a := range going {
		if s.assigned[tp] != a {
			continue // it has been given out anew
		}
		delete(s.assigned, tp)
		resume[tp.topic] = append(resume[tp.topic], tp.partition)
		s.problems.clearPartition(tp)
	}
	s.resize()
	s.mu.Unlock()
	signal(s.progress) // those that have gone keep no poll waiting
	// The client remembers pauses for partitions that it does not own.
	s.cl.ResumeFetchPartitions(resume)
}

func partitionsOf(as map[topicPartition]*assignment) []*dispatch.Partition {
	ps := make([]*dispatch.Partition, 0, len(as))
	for _, a := range as {
		ps = append(ps, a.Partition)
	}
	return ps
}
