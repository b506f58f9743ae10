package produce

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// creations makes calls that want the same topic at the same time wait for one of them.
type creations struct {
	mu      sync.Mutex
	running map[string]chan struct{} // closed when the creation has ended, one way or the other
	// created has the topics that exist for less than creationMemory, with the end of that time. Publishers that
	// failed together come one after another to create their topic; only the first has to.
	created map[string]time.Time
}

const creationMemory = 2 * time.Second

// begin makes the caller the one that creates topic, or returns the channel of the one that does, or has done.
func (c *creations) begin(topic string) (end func(exists bool), other <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if running := c.running[topic]; running != nil {
		return nil, running
	}
	now := time.Now()
	maps.DeleteFunc(c.created, func(_ string, until time.Time) bool { return now.After(until) })
	if _, ok := c.created[topic]; ok {
		done := make(chan struct{})
		close(done)
		return nil, done
	}
	if c.running == nil {
		c.running = make(map[string]chan struct{})
		c.created = make(map[string]time.Time)
	}
	done := make(chan struct{})
	c.running[topic] = done
	return func(exists bool) {
		c.mu.Lock()
		delete(c.running, topic)
		if exists {
			c.created[topic] = time.Now().Add(creationMemory)
		}
		c.mu.Unlock()
		close(done)
	}, nil
}

// creationRetryDelay spaces the attempts to publish to a topic that was created a moment ago: brokers learn of it
// one after another.
const creationRetryDelay = 100 * time.Millisecond

// createAndSend creates the topics of which nothing could be stored because they are missing, and sends their records
// again. results are those of records, which it brings up to date.
func (c *client) createAndSend(p *callerLimit, as settings.CreateTopics, records []record.Outgoing, parcels []prepared,
	results []record.Result) {
	for {
		var missing []int // records to send again
		var again []record.Outgoing
		asked := make(map[string]*Error)
		for i := range parcels {
			part := &parcels[i]
			if part.answer || part.refused != nil || !allUnknown(results[part.from:part.to]) {
				continue
			}
			topic := records[part.from].Topic
			err, known := asked[topic]
			if !known {
				err = c.createTopic(p.context(), topic, as)
				asked[topic] = err
			}
			part.refused = err
			for j := part.from; j < part.to; j++ {
				if err != nil {
					results[j].Err = err
					continue
				}
				missing, again = append(missing, j), append(again, records[j])
			}
		}
		if len(missing) == 0 {
			return
		}
		unknown := false
		for i, result := range c.send(p, again) {
			results[missing[i]] = result
			unknown = unknown || ClassOf(result.Err) == ClassUnknownTopic
		}
		if !unknown || !backoff.Sleep(p.context(), creationRetryDelay) {
			return
		}
	}
}

// allUnknown tells whether the topic of copies is not there, as opposed to one partition of it.
func allUnknown(results []record.Result) bool {
	return !slices.ContainsFunc(results, func(r record.Result) bool { return ClassOf(r.Err) != ClassUnknownTopic })
}

// createTopic creates a topic, or waits for another call that does. After such a wait the topic may exist or not;
// the caller finds out when it publishes.
func (c *client) createTopic(ctx context.Context, topic string, create settings.CreateTopics) *Error {
	end, other := c.creating.begin(topic)
	if other != nil {
		select {
		case <-other:
			return nil
		case <-ctx.Done():
			return c.neverSent(topic, "waiting for the topic to be created", context.Cause(ctx))
		}
	}
	err := kafka.CreateTopic(ctx, c.admin(), topic, create, c.log)
	end(err == nil)
	if err == nil {
		return nil
	}
	d, text := WhyNotCreated(c.access, err)
	if d.Class == kafka.ClassTimeout {
		return c.neverSent(topic, text, err)
	}
	return &Error{Class: classOf(d.Class), Topic: topic, err: err, Text: text}
}

// WhyNotCreated says why a topic could not be created that does not exist.
func WhyNotCreated(access *kafka.Access, err error) (kafka.Diagnosis, string) {
	d := access.Explain(err)
	switch d.Class {
	case kafka.ClassTopicRights, kafka.ClassClusterRights:
		return d, d.Text // which says so
	case kafka.ClassTimeout:
		return d, "the topic does not exist, and creating it took too long"
	default:
		return d, "the topic does not exist, and creating it failed: " + d.Text
	}
}
