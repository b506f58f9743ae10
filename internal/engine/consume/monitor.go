package consume

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// checkEvery is the time between looks at the cluster while all is well, checkAgain while it is not.
	checkEvery   = 5 * time.Second
	checkAgain   = time.Second
	checkTimeout = 5 * time.Second
)

// monitor looks at the cluster at intervals, so that a link without traffic tells of a broker that went away, a
// topic that is missing or a right that was taken.
func (s *session) monitor(ctx context.Context) {
	w := watcher{cfg: s.cfg, cl: s.cl, adm: s.adm, before: s.beforeLook, awaited: s.awaited, report: s.problems.setChecks}
	w.watch(ctx, s.joined)
}

// beforeLook finds out what the looks at topics do not.
func (s *session) beforeLook(ctx context.Context) error {
	if err := s.problems.mismatched(); err != nil {
		c := &s.cfg.Settings.Consumer
		s.problems.setMismatch(kafka.Mismatch(ctx, s.cl, c.Group, Assignor(c), err))
	}
	return s.findOrigin(ctx)
}

// watcher looks at the topics of a link.
type watcher struct {
	cfg *Config
	cl  *kgo.Client
	adm *kadm.Client
	// before is called before each look. It reports itself what it finds to be wrong.
	before func(context.Context) error
	// awaited tells which of the partitions that are to be read nobody reads yet. It gets the names of their topics by id.
	awaited func(ctx context.Context, wanted []topicPartition, ids map[kadm.TopicID]string) []problem
	report  func([]problem)

	// matched are the topics that a pattern matched at askedAll, as long as the client knows of none.
	matched  []string
	askedAll time.Time
	// wanted are the partitions that are to be read, as of the last look.
	wanted []topicPartition
}

// watch reports, again and again until ctx ends, whether the topics of the link are there and read. A token in now
// makes it look at once.
func (w *watcher) watch(ctx context.Context, now <-chan struct{}) {
	for {
		wait := checkEvery
		if !w.look(ctx) {
			wait = checkAgain
		}
		select {
		case <-time.After(wait):
		case <-now:
		case <-ctx.Done():
			return
		}
	}
}

// look tells whether all is well.
func (w *watcher) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := w.before(ctx)
	found := w.check(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	w.report(found)
	return err == nil && len(found) == 0
}

// check asks for the topics that the link reads, those of its retries among them, and the one for its dead letters.
// Missing ones are created where create_topics says so.
func (w *watcher) check(ctx context.Context) []problem {
	c := &w.cfg.Settings.Consumer
	if c.GroupProtocol == settings.GroupConsumer {
		if err := checkConsumerProtocol(ctx, w.adm); err != nil {
			return []problem{{kind: status.ProblemKafka, err: err}}
		}
	}
	topics, err := w.topics(ctx)
	if err != nil {
		return []problem{{kind: status.ProblemKafka, err: err}}
	}
	own := len(topics)
	topics = append(topics, w.cfg.Settings.Delivery.RetryTopicNames()...)
	reads := len(topics)
	deadLetters := w.cfg.Settings.Delivery.DeadLetterTopic
	if deadLetters != "" {
		topics = append(topics, deadLetters)
	}
	var details kadm.Metadata
	if len(topics) > 0 { // of none, Kafka would tell of all
		if details, err = w.adm.Metadata(kadm.WithAuthorizedOps(ctx), topics...); err != nil {
			return []problem{{kind: status.ProblemKafka, err: err}}
		}
	}
	var found []problem
	var wanted []topicPartition
	ids := make(map[kadm.TopicID]string)
	gone := 0
	for i, topic := range topics {
		t := details.Topics[topic]
		err := t.Err
		if c.TopicPattern != nil && i < own && errors.Is(err, kerr.UnknownTopicOrPartition) {
			gone++
			continue
		}
		if err == nil && (i < reads && mayNot(kmsg.ACLOperationRead, t.AuthorizedOperations) ||
			i >= own && mayNot(kmsg.ACLOperationWrite, t.AuthorizedOperations)) {
			err = kerr.TopicAuthorizationFailed
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) && w.cfg.Settings.Create.Enabled {
			if err = kafka.CreateTopic(ctx, w.adm, topic, w.cfg.Settings.Create, w.cfg.Log); err == nil && i < reads {
				err = errCreated
			}
		}
		if err == nil && i < reads {
			wanted = append(wanted, selectedPartitions(c, t)...)
			ids[t.ID] = topic
			if len(t.Partitions) > 0 {
				err = kafka.NoPartition(c.Partitions, len(t.Partitions))
			}
		}
		if err != nil {
			kind := status.ProblemTopic
			if kerrPassing(err) {
				kind = status.ProblemStarting
			}
			found = append(found, problem{kind, doingTopic(topic), err})
		}
	}
	if gone == own && c.TopicPattern != nil {
		found = append(found, problem{kind: status.ProblemTopic, err: kafka.ErrNoMatch})
	}
	if slices.ContainsFunc(wanted, func(tp topicPartition) bool { return !slices.Contains(w.wanted, tp) }) {
		// The client need not wait for its next refresh to find out what is there now.
		w.cl.ForceMetadataRefresh()
	}
	w.wanted = wanted
	return append(found, w.awaited(ctx, wanted, ids)...)
}

// topics are the names of those to read, without those of retries.
func (w *watcher) topics(ctx context.Context) ([]string, error) {
	c := &w.cfg.Settings.Consumer
	if c.TopicPattern == nil {
		return slices.Clone(c.Topics), nil
	}
	known := slices.DeleteFunc(w.cl.GetConsumeTopics(), func(name string) bool { return w.cfg.Settings.Delivery.RetryTopic(name) != nil })
	if len(known) > 0 {
		slices.Sort(known)
		return known, nil
	}
	// The client asks for all topics at its own intervals, and this is as dear.
	if time.Since(w.askedAll) >= w.cfg.Settings.Cluster.MetadataMaxAge {
		topics, err := selectedTopics(ctx, c, w.adm)
		if err != nil {
			return nil, err
		}
		w.matched, w.askedAll = slices.Sorted(maps.Keys(topics)), time.Now()
	}
	return slices.Clone(w.matched), nil
}

// selectedPartitions are those of a topic that the link reads.
func selectedPartitions(c *settings.Consumer, t kadm.TopicDetail) []topicPartition {
	var tps []topicPartition
	for id := range t.Partitions {
		if len(c.Partitions) == 0 || slices.Contains(c.Partitions, id) {
			tps = append(tps, topicPartition{t.Topic, id})
		}
	}
	slices.SortFunc(tps, compareTopicPartitions)
	return tps
}

// errNoConsumerProtocol says what the client does not: it falls back to the classic protocol by itself.
var errNoConsumerProtocol = errors.New("a broker is too old for group_protocol=consumer (KIP-848), which needs Kafka 4.0 or later: " +
	"the group is run by the classic protocol instead; set group_protocol=classic")

// errNoShareProtocol says so before the group is asked for anything: an older broker has no name for what is wrong.
var errNoShareProtocol = errors.New("a broker is too old for group_protocol=share (KIP-932), which needs Kafka 4.2 or later: " +
	"set group_protocol=classic")

// checkConsumerProtocol asks whether the brokers know the final form of KIP-848's heartbeat.
func checkConsumerProtocol(ctx context.Context, adm *kadm.Client) error {
	return checkProtocol(ctx, adm, kmsg.ConsumerGroupHeartbeat, errNoConsumerProtocol)
}

// checkShareProtocol asks whether the brokers know the final form of KIP-932's heartbeat.
func checkShareProtocol(ctx context.Context, adm *kadm.Client) error {
	return checkProtocol(ctx, adm, kmsg.ShareGroupHeartbeat, errNoShareProtocol)
}

// checkProtocol returns tooOld where a broker does not know version 1 of a heartbeat, the first final one of both.
func checkProtocol(ctx context.Context, adm *kadm.Client, heartbeat kmsg.Key, tooOld error) error {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if b.Err != nil {
			continue // a broker that is away says nothing about its age
		}
		if version, ok := b.KeyMaxVersion(heartbeat.Int16()); !ok || version < 1 {
			return tooOld
		}
	}
	return nil
}

// mayNot tells whether the broker says so: that dead letters cannot be written is to be known before there is one, and
// that records may not be read even while none are asked for. Brokers before Kafka 2.3 tell nothing.
func mayNot(op kadm.ACLOperation, may []kadm.ACLOperation) bool {
	return len(may) > 0 && !slices.Contains(may, op)
}

// kerrPassing tells of errors that every new or moving topic has for a moment.
func kerrPassing(err error) bool {
	return errors.Is(err, kerr.LeaderNotAvailable) || errors.Is(err, errCreated)
}

var errCreated = errors.New("it has just been created")
