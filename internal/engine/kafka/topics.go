package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// InternalTopics matches the names of the topics in which Kafka keeps what is its own: positions of groups, states of
// transactions, the index of tiered storage. No pattern is meant to read or write them.
var InternalTopics = regexp.MustCompile(`^__(consumer_offsets|transaction_state|share_group_state|remote_log_metadata|cluster_metadata)$`)

// MayMatch tells whether a pattern of topics may match a topic: not one that is Kafka's own, by its name or because the
// broker says so.
func MayMatch(topic string, internal bool) bool {
	return !internal && !InternalTopics.MatchString(topic)
}

// ErrNoMatch says that the pattern of the setting topic matches nothing at present.
var ErrNoMatch = errors.New("the pattern matches no topic that exists and that this user may see (ACL Describe); one is waited for")

// NoPartition returns an error that names the first of the partitions that a topic with count of them does not have,
// nil where it has all.
func NoPartition(partitions []int32, count int) error {
	for _, p := range partitions {
		if int(p) >= count {
			return fmt.Errorf("there is no partition %d: it has %d (0 to %d)", p, count, count-1)
		}
	}
	return nil
}

// CreateTopic creates a topic as the setting create_topics says. A topic that exists is none to create: another copy
// was faster, or the broker that said it is missing is behind.
func CreateTopic(ctx context.Context, admin *kadm.Client, topic string, as settings.CreateTopics,
	log *slog.Logger) error {
	err := MakeTopic(ctx, admin, topic, as.Partitions, as.Replication, nil)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err != nil {
		return &CreateError{err}
	}
	log.Info("topic created", "topic", topic, "partition_count", as.Partitions, "replication_factor", as.Replication)
	return nil
}

// MakeTopic creates a topic. Its error has the words of the broker.
func MakeTopic(
	ctx context.Context, admin *kadm.Client, topic string, partitions int32, replication int16, configs map[string]*string,
) error {
	answer, err := admin.CreateTopic(ctx, partitions, replication, configs, topic)
	return withWords(err, answer.ErrMessage)
}

// TryCreateTopic tells whether [CreateTopic] would succeed. It creates nothing.
func TryCreateTopic(ctx context.Context, admin *kadm.Client, topic string, as settings.CreateTopics) error {
	answers, err := admin.ValidateCreateTopics(ctx, as.Partitions, as.Replication, nil, topic)
	if err == nil {
		err = withWords(answers[topic].Err, answers[topic].ErrMessage)
	}
	if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return &CreateError{err}
}

// withWords puts the words of a broker behind its error, as the client does where it has them.
func withWords(err error, words string) error {
	if err == nil || words == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, words)
}
