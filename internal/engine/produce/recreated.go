package produce

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// recreations lets a client publish again to a topic that was deleted and created anew. The client takes the new topic
// for another one, and fails all records for its name until it has to forget the old one.
type recreations struct {
	forgotten atomic.Uint64 // how often topics have been forgotten
}

// forgetRecreated forgets the topics of records that failed because their topic is another one now. began is the count
// when the records were handed over: whoever comes late does not forget a topic a second time, which would fail the
// records on their way to the new one. The failed records themselves are not sent again: in a cluster whose brokers
// know no topic ids they may have been stored in the new topic.
func (c *client) forgetRecreated(began uint64, results []record.Result) {
	var topics []string
	for i := range results {
		if topic := results[i].Topic; errors.Is(results[i].Err, kerr.UnknownTopicID) && !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	if len(topics) == 0 || !c.recreations.forgotten.CompareAndSwap(began, began+1) {
		return
	}
	c.log.Warn("a topic was deleted and created anew: records published meanwhile failed, further ones go to the new topic", "topics", topics)
	c.client().PurgeTopicsFromProducing(topics...)
	c.oneByOne.forget(topics)
}

func (a *oneByOne) forget(topics []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kgo != nil && !a.closed {
		a.kgo.PurgeTopicsFromProducing(topics...)
	}
}
