package consume

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// groupLagTimeout bounds the question how far a group is.
const groupLagTimeout = 10 * time.Second

// GroupLag asks Kafka how far the group is in all partitions that the link reads, and not only in those that this copy
// has: its other members may have them, or nobody, while Kafka waits for a member that is gone. A partition whose Lag
// is -1 has records of which nobody knows whether they were read.
func (c *Consumer) GroupLag(ctx context.Context) ([]status.Partition, error) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	s, reads := current.(*session)
	if !reads {
		return nil, errors.New("nothing reads at the moment that could ask for the group's offsets")
	}
	ctx, cancel := context.WithTimeout(ctx, groupLagTimeout)
	defer cancel()
	of := &c.cfg.Settings.Consumer
	topics := of.Topics
	if of.TopicPattern != nil {
		matched, err := selectedTopics(ctx, of, s.adm)
		if err != nil {
			return nil, err
		}
		topics = slices.Sorted(maps.Keys(matched))
	}
	topics = slices.Concat(topics, c.cfg.Settings.Delivery.RetryTopicNames())
	lags, err := kafka.GroupLag(ctx, s.adm, of.Group, of.ReadCommitted, topics...)
	if err != nil {
		return nil, err
	}
	list := make([]status.Partition, 0, len(lags))
	for i := range lags {
		l := &lags[i]
		if len(of.Partitions) > 0 && l.Partition >= 0 && !slices.Contains(of.Partitions, l.Partition) {
			continue
		}
		p := status.Partition{Topic: l.Topic, Partition: l.Partition, Committed: l.Committed, End: l.End, Lag: -1}
		if unread, known := l.Unread(); known {
			p.Lag = unread
		}
		list = append(list, p)
	}
	return list, nil
}
