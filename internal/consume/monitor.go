package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"messaging-kafka/internal/settings"
	"messaging-kafka/internal/status"
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
	watchTopics(ctx, s.cfg, s.cl, s.problems.setChecks)
}

// watchTopics reports, again and again until ctx ends, whether the topics of a link are there.
func watchTopics(ctx context.Context, cfg *Config, cl *kgo.Client, report func([]trouble)) {
	adm := kadm.NewClient(cl)
	for bad := false; ; {
		found := checkTopics(ctx, cfg, adm)
		if ctx.Err() != nil {
			return
		}
		if bad && found == nil {
			// What was missing is there: the client need not wait for its next turn to find that out.
			cl.ForceMetadataRefresh()
		}
		bad = found != nil
		report(found)
		wait := checkEvery
		if bad {
			wait = checkAgain
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// checkTopics asks for the topics that the link reads and the one for its dead letters. Missing ones are created
// where create_topics says so.
func checkTopics(ctx context.Context, cfg *Config, adm *kadm.Client) []trouble {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if cfg.Settings.Consumer.GroupProtocol == settings.GroupConsumer {
		if err := checkConsumerProtocol(ctx, adm); err != nil {
			return []trouble{{kind: status.ProblemKafka, err: err}}
		}
	}
	topics := append([]string(nil), cfg.Settings.Consumer.Topics...)
	deadLetters := cfg.Settings.Delivery.DeadLetterTopic
	if deadLetters != "" {
		topics = append(topics, deadLetters)
	}
	if len(topics) == 0 {
		if _, err := adm.BrokerMetadata(ctx); err != nil {
			return []trouble{{kind: status.ProblemKafka, err: err}}
		}
		return nil
	}
	details, err := adm.Metadata(kadm.WithAuthorizedOps(ctx), topics...)
	if err != nil {
		return []trouble{{kind: status.ProblemKafka, err: err}}
	}
	var found []trouble
	for _, topic := range topics {
		err := details.Topics[topic].Err
		need := kmsg.ACLOperationRead
		if topic == deadLetters {
			need = kmsg.ACLOperationWrite
		}
		if err == nil && mayNot(need, details.Topics[topic].AuthorizedOperations) {
			err = kerr.TopicAuthorizationFailed
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) && cfg.Settings.Create.Enabled {
			err = createTopic(ctx, cfg, adm, topic)
		}
		if err != nil && !kerrPassing(err) {
			found = append(found, trouble{status.ProblemTopic, doingTopic(topic), err})
		}
	}
	return found
}

// errNoConsumerProtocol says what the client does not: it falls back to the classic protocol by itself.
var errNoConsumerProtocol = errors.New("a broker is too old for group_protocol=consumer (KIP-848), which needs Kafka 4.0 or later: " +
	"the group is run by the classic protocol instead; set group_protocol=classic")

// checkConsumerProtocol asks whether the brokers know the final form of KIP-848's heartbeat.
func checkConsumerProtocol(ctx context.Context, adm *kadm.Client) error {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if b.Err != nil {
			continue // a broker that is away says nothing about its age
		}
		if version, ok := b.KeyMaxVersion(kmsg.ConsumerGroupHeartbeat.Int16()); !ok || version < 1 {
			return errNoConsumerProtocol
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
func kerrPassing(err error) bool { return errors.Is(err, kerr.LeaderNotAvailable) }

func createTopic(ctx context.Context, cfg *Config, adm *kadm.Client, topic string) error {
	c := cfg.Settings.Create
	_, err := adm.CreateTopic(ctx, c.Partitions, c.Replication, nil, topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating it (create_topics): %w", err)
	}
	cfg.Log.Info("topic created", "topic", topic, "partitions", c.Partitions, "replication", c.Replication)
	return nil
}
