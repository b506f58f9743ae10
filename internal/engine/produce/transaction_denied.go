package produce

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// findDenied finds the output that Kafka has refused for a missing right. Kafka takes the topics of a transaction
// together or not at all, and the client fails the records of all of them with one error.
func (t *Transactor) findDenied(ctx context.Context, failure *OutputError, outputs []record.Outgoing, among []string) {
	failure.Among = among
	details, err := kadm.NewClient(t.client()).Metadata(kadm.WithAuthorizedOps(ctx), among...)
	if err != nil {
		return // it is said that it is one of them
	}
	for i := range outputs {
		detail := details.Topics[outputs[i].Topic]
		may := detail.AuthorizedOperations // brokers before Kafka 2.3 do not tell
		if errors.Is(detail.Err, kerr.TopicAuthorizationFailed) || len(may) > 0 && !slices.Contains(may, kmsg.ACLOperationWrite) {
			failure.Topic, failure.Index, failure.Among = outputs[i].Topic, i, nil
			return
		}
	}
}

// topicSet gathers topics.
type topicSet struct {
	mu     sync.Mutex
	topics map[string]struct{}
}

func (s *topicSet) note(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics == nil {
		s.topics = make(map[string]struct{})
	}
	s.topics[topic] = struct{}{}
}

func (s *topicSet) sorted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.topics))
}
