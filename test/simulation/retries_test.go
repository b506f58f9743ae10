package simulation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
)

// retryPrefix is what the names of the retry topics begin with.
const retryPrefix = "again-"

// drawRetries has some links move what fails to retry topics. It draws before the events, which depend on the brokers.
func (p *plan) drawRetries() {
	rng := newRand(p.seed, "retries")
	if p.protocol == "share" || rng.IntN(5) > 0 {
		return
	}
	p.config["retry_topics"] = []string{"1s", "500ms,20s", "2s,5s,1m"}[rng.IntN(3)]
	p.config["retry_topic_prefix"] = retryPrefix
	if !locksPass {
		p.brokers = 1
	}
}

// retryTopics are the names of the link's retry topics.
func (p *plan) retryTopics() (names []string) {
	if p.config["retry_topics"] == "" {
		return nil
	}
	for delay := range strings.SplitSeq(p.config["retry_topics"], ",") {
		names = append(names, retryPrefix+delay)
	}
	return names
}

// readMoved returns when each record was first moved to a retry topic.
func (w *world) readMoved() map[place]time.Time {
	moved := make(map[place]time.Time)
	for _, topic := range w.plan.retryTopics() {
		if w.kafka.TopicInfo(topic) == nil {
			continue // nobody has made it, since nothing was moved there
		}
		for _, r := range w.readAll(topic, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
			at := movedFrom(r)
			if before, again := moved[at]; !again || r.Timestamp.Before(before) {
				moved[at] = r.Timestamp
			}
		}
	}
	if len(moved) > 0 {
		covered.kind(movedAway)
	}
	return moved
}

// movedAway is what is noted of a run in which records were moved to retry topics.
const movedAway = "records moved to retry topics"

// movedFrom is the place of the record that waits in a retry topic.
func movedFrom(r *kgo.Record) place {
	at := storedAt(r)
	for _, h := range r.Headers {
		if h.Key != consume.HeaderRetryFrom {
			continue
		}
		if parts := strings.Split(string(h.Value), "/"); len(parts) == 3 && parts[0] == input {
			partition, _ := strconv.ParseInt(parts[1], 10, 32)
			at.partition = int32(partition)
			at.offset, _ = strconv.ParseInt(parts[2], 10, 64)
		}
	}
	return at
}

// undelivered tells of records that wait in retry topics.
func (w *world) undelivered() error {
	info := w.kafka.GroupInfo(group)
	for _, topic := range w.plan.retryTopics() {
		for _, p := range w.kafka.PartitionInfos(topic) {
			if p.HighWatermark == 0 {
				continue
			}
			if info == nil || info.Commits[topic][p.Partition].Offset < p.HighWatermark {
				return fmt.Errorf("%s/%d: not all is committed, of %d", topic, p.Partition, p.HighWatermark)
			}
		}
	}
	return nil
}

// judgeMoved is the invariant moved-once: with transactions no record is moved to retry topics more often than it has
// failed.
func (w *world) judgeMoved() {
	if !w.plan.exactly {
		return
	}
	times := make(map[place]int)
	for _, topic := range w.plan.retryTopics() {
		if w.kafka.TopicInfo(topic) == nil {
			continue
		}
		for _, r := range w.readAll(topic, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
			times[movedFrom(r)]++
		}
	}
	for at, n := range times {
		if failed := w.guest.failures[at]; n > failed {
			w.fail("moved-once", "%v was moved %d times, and has failed %d times: %s", at, n, failed, w.tellVisits(at))
			return
		}
	}
}
