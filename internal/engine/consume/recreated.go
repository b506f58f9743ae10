package consume

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// giveUpTime is how long the client has to give a topic up before it is to find it again.
const giveUpTime = time.Second

var errRecreated = errors.New("the topic was deleted and created again: it is to be read from its start")

// recreated notes a topic that the client goes on to take for the one that was deleted. The partition stands still
// until its topic has been begun anew; the others do not notice.
func (s *session) recreated(tp topicPartition, a *assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.stopped == nil {
		a.stopped = errRecreated
	}
	s.stale[tp.topic] = struct{}{}
	signal(s.renewing)
}

// renew begins topics anew that were deleted and created again. It is a loop of its own, since calls for the old ones
// may take their time to end.
func (s *session) renew(ctx context.Context) {
	for {
		select {
		case <-s.renewing:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		topics := slices.Sorted(maps.Keys(s.stale))
		clear(s.stale)
		s.mu.Unlock()
		for _, topic := range topics {
			s.renewTopic(ctx, topic)
		}
	}
}

// renewTopic ends what is read of a topic as when its partitions are handed over, and has the client forget it and find
// it again. The group gives its partitions out anew, and startOffsets finds that they are of another topic.
func (s *session) renewTopic(ctx context.Context, topic string) {
	going := make(map[topicPartition]*assignment)
	s.mu.Lock()
	for tp, a := range s.assigned {
		if tp.topic == topic {
			going[tp] = a
		}
	}
	s.mu.Unlock()
	if len(going) == 0 {
		return // the group has taken them meanwhile
	}
	s.log.Warn("a topic was deleted and created again: it is begun anew", "topic", topic)
	reserve := s.handOverReserve()
	drain, cancel := context.WithTimeout(ctx, s.cfg.Settings.Consumer.RebalanceTimeout-reserve)
	dispatch.CloseAll(drain, partitionsOf(going))
	cancel()
	if s.transactor != nil {
		// Offsets of a topic that is no more mean nothing, but outputs do.
		last, cancel := context.WithTimeout(ctx, reserve)
		if err := s.commit(last, going); err != nil {
			s.log.Warn("committing what was made of the deleted topic failed", "topic", topic, "error", err)
		}
		cancel()
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	s.settled.all = false
	maps.DeleteFunc(s.settled.read, func(tp topicPartition, _ struct{}) bool { return tp.topic == topic })
	s.mu.Unlock()
	s.forget(going)
	s.cl.PurgeTopicsFromConsuming(topic)
	// The client gives the topic up before it finds it again: with both at once, it takes the group's new assignment for
	// the old one, and gives it out twice. A pattern is matched again by itself, and later too.
	if !backoff.Sleep(ctx, giveUpTime) {
		return
	}
	s.cl.AddConsumeTopics(topic)
	signal(s.joined) // for the monitor to look
}
