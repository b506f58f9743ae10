package consume

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Partitions returns how far the partitions are that the group has given to this copy, and how far behind, sorted by
// topic and number. A member of a share group has no partitions of its own, and so none here.
func (c *Consumer) Partitions() []status.Partition {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.partitions(time.Now())
}

func (s *session) partitions(now time.Time) []status.Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]status.Partition, 0, len(s.assigned))
	for tp, a := range s.assigned {
		list = append(list, a.describe(tp, now))
	}
	slices.SortFunc(list, func(a, b status.Partition) int {
		return compareTopicPartitions(topicPartition{a.Topic, a.Partition}, topicPartition{b.Topic, b.Partition})
	})
	return list
}

// describe is called with session.mu held. Lag is counted as all of Kafka's tools count it. In time it is, where no
// record has come yet that would tell, the time for which the partition has been behind as far as this copy knows.
func (a *assignment) describe(tp topicPartition, now time.Time) status.Partition {
	p := status.Partition{Topic: tp.topic, Partition: tp.partition, Committed: a.committed.offset, End: a.end, Lag: -1}
	waits := a.Describe(&p, now)
	if a.stopped != nil {
		p.Held = a.stopped.Error()
	}
	if !a.committedAt.IsZero() {
		age := max(0, now.Sub(a.committedAt)).Seconds()
		p.CommitAgeSeconds = &age
	}
	if a.committed.offset < 0 || a.end < 0 {
		return p
	}
	p.Lag, p.LagSeconds = max(0, a.end-a.committed.offset), new(float64)
	if waits.IsZero() {
		waits = a.behindSince
	}
	if p.Lag > 0 && !waits.IsZero() {
		*p.LagSeconds = max(0, now.Sub(waits)).Seconds()
	}
	return p
}

// setEnd notes the end of the partition. session.mu is held.
func (a *assignment) setEnd(end int64) {
	a.end, a.endAt = end, time.Now()
	a.noteBehind(a.endAt)
}

func (a *assignment) noteBehind(now time.Time) {
	switch {
	case a.committed.offset < 0 || a.end < 0 || a.end <= a.committed.offset:
		a.behindSince = time.Time{}
	case a.behindSince.IsZero():
		a.behindSince = now
	}
}

const (
	// measureEvery is the time between looks for partitions whose end is not known or has become old, as it does where
	// nothing is fetched: the partition is idle, full or stands still. endsEvery is how old that is.
	measureEvery = time.Second
	endsEvery    = 10 * time.Second
	measureLimit = 5 * time.Second
)

// measure keeps the ends of partitions fresh that fetches do not tell.
func (s *session) measure(ctx context.Context) {
	for backoff.Sleep(ctx, measureEvery) {
		s.askEnds(ctx, s.unmeasured(time.Now()))
	}
}

// unmeasured are the partitions to ask for, each of which is asked for once in endsEvery.
func (s *session) unmeasured(now time.Time) map[string][]int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ask := make(map[string][]int32)
	for tp, a := range s.assigned {
		if a.committed.offset >= 0 && now.Sub(a.endAt) >= endsEvery && now.Sub(a.askedAt) >= endsEvery {
			a.askedAt = now
			ask[tp.topic] = append(ask[tp.topic], tp.partition)
		}
	}
	return ask
}

// askEnds asks the leaders of partitions for their ends. A request that fails is made again in its turn: lag is that of
// the last time that Kafka answered, and others report that it does not answer.
func (s *session) askEnds(ctx context.Context, ask map[string][]int32) {
	if len(ask) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, measureLimit)
	defer cancel()
	var isolation int8
	if s.cfg.Settings.Consumer.ReadCommitted {
		isolation = 1
	}
	for _, shard := range s.cl.RequestSharded(ctx, kafka.EndsRequest(ask, isolation)) {
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if shard.Err != nil || !ok {
			s.log.Debug("asking for the ends of partitions failed", "broker", shard.Meta.NodeID, "error", shard.Err)
			continue
		}
		s.noteEnds(resp)
	}
}

func (s *session) noteEnds(resp *kmsg.ListOffsetsResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			a := s.assigned[topicPartition{t.Topic, p.Partition}]
			// A fetch may have told of a later end meanwhile; an old one may be gone with what an unclean election lost.
			if a != nil && kerr.ErrorForCode(p.ErrorCode) == nil && (p.Offset >= a.end || time.Since(a.endAt) >= endsEvery) {
				a.setEnd(p.Offset)
			}
		}
	}
}

// fetchedEnd is the end of what the link may read, as a fetch tells it; -1 where it does not.
func (s *session) fetchedEnd(f *kgo.FetchPartition) int64 {
	switch {
	case f.HighWatermark <= 0:
		return -1
	case s.cfg.Settings.Consumer.ReadCommitted:
		return f.LastStableOffset
	default:
		return f.HighWatermark
	}
}

// partitions implements running: a share group gives no partitions to its members.
func (*shareSession) partitions(time.Time) []status.Partition { return nil }
