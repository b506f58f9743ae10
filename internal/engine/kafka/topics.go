package kafka

import (
	"errors"
	"fmt"
	"regexp"
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
var ErrNoMatch = errors.New("the pattern matches no topic that exists and that this user may see (ACL Describe); the link waits for one")

// NoPartition returns an error that names the first of the partitions that a topic with count of them does not have, nil
// where it has all.
func NoPartition(partitions []int32, count int) error {
	for _, p := range partitions {
		if int(p) >= count {
			return fmt.Errorf("there is no partition %d: it has %d (0 to %d)", p, count, count-1)
		}
	}
	return nil
}
