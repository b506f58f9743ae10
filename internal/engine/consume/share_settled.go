package consume

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// enoughFetches is how many fetches a broker has to answer until it has surely been asked for a partition that the
// group has given out: the first may have been on its way when that was done.
const enoughFetches = 2

// shareFetches counts the fetches of a share group that brokers have answered. With its first fetch of a partition a
// broker decides where the group begins in it, so nothing that is produced afterwards is passed over. It is a hook of
// the client.
type shareFetches struct {
	// answered has room for one token: a fetch was answered.
	answered chan struct{}

	mu       sync.Mutex
	byBroker map[int32]int
	came     map[topicPartition]struct{} // of which there were records
}

var _ kgo.HookBrokerE2E = (*shareFetches)(nil)

func newShareFetches() *shareFetches {
	return &shareFetches{
		answered: make(chan struct{}, 1), byBroker: make(map[int32]int), came: make(map[topicPartition]struct{}),
	}
}

// OnBrokerE2E counts an answer.
func (h *shareFetches) OnBrokerE2E(meta kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key != int16(kmsg.ShareFetch) || e2e.Err() != nil {
		return
	}
	h.mu.Lock()
	h.byBroker[meta.NodeID]++
	h.mu.Unlock()
	signal(h.answered)
}

// brought notes a partition of which there was a record.
func (h *shareFetches) brought(tp topicPartition) {
	h.mu.Lock()
	_, known := h.came[tp]
	h.came[tp] = struct{}{}
	h.mu.Unlock()
	if !known {
		signal(h.answered)
	}
}

// forget forgets what came of topics.
func (h *shareFetches) forget(topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.came, func(tp topicPartition, _ struct{}) bool { return slices.Contains(topics, tp.topic) })
}

// wait waits until all partitions, of which it gets the leaders, have been fetched, or, where others may have them,
// until anything has: this member need not have one of these, and then never asks their leaders.
func (h *shareFetches) wait(ctx context.Context, leaders map[topicPartition]int32, others bool) error {
	h.mu.Lock()
	before := maps.Clone(h.byBroker)
	h.mu.Unlock()
	for {
		if len(h.unfetched(leaders, before)) == 0 || others && h.fetched(before) {
			return nil
		}
		select {
		case <-h.answered:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetched tells whether there were records, or a broker has answered often enough.
func (h *shareFetches) fetched(before map[int32]int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for broker, n := range h.byBroker {
		if n >= before[broker]+enoughFetches {
			return true
		}
	}
	return len(h.came) > 0
}

func (h *shareFetches) unfetched(leaders map[topicPartition]int32, before map[int32]int) []topicPartition {
	h.mu.Lock()
	defer h.mu.Unlock()
	var left []topicPartition
	for tp, broker := range leaders {
		if _, came := h.came[tp]; !came && h.byBroker[broker] < before[broker]+enoughFetches {
			left = append(left, tp)
		}
	}
	return left
}

// awaited finds out which of the partitions that the link is to read the group has given to nobody, and waits for the
// first answers to fetches of those that it has given out. The client does not tell its part of them: where there are
// other members, answers to any fetch are enough.
func (s *shareSession) awaited(ctx context.Context, wanted []topicPartition, _ map[kadm.TopicID]string) []problem {
	if !s.problems.isMember() {
		s.settled = nil
	}
	settled := make(map[topicPartition]struct{})
	var open []topicPartition
	for _, tp := range wanted {
		if _, ok := s.settled[tp]; ok {
			settled[tp] = struct{}{}
		} else {
			open = append(open, tp)
		}
	}
	s.settled = settled
	if len(open) == 0 {
		return nil
	}
	group := s.cfg.Settings.Consumer.Group
	adm := kadm.NewClient(s.cl)
	groups, err := adm.DescribeShareGroups(ctx, group)
	g := groups[group]
	if err == nil {
		err = g.Err
	}
	if err != nil && !unseen(err) {
		return []problem{{status.ProblemGroup, "asking the group who reads which partitions: ", err}}
	}
	given := g.AssignedPartitions()
	if unseen(err) {
		s.log.Warn("who else is in the group and has which partitions cannot be seen: health is of this copy's alone", "error", err)
		for _, tp := range open {
			given.Add(tp.topic, tp.partition)
		}
	}
	var left, fetched []topicPartition
	for _, tp := range open {
		if given.Lookup(tp.topic, tp.partition) {
			fetched = append(fetched, tp)
		} else {
			left = append(left, tp)
		}
	}
	if len(left) > 0 {
		return []problem{{status.ProblemStarting, "", fmt.Errorf("group %s has given nobody %s yet", group, namesOf(left))}}
	}
	leaders, err := leadersOf(ctx, adm, fetched)
	if err != nil {
		return []problem{{kind: status.ProblemKafka, err: err}}
	}
	if s.fetches.wait(ctx, leaders, len(g.Members) > 1) != nil {
		return []problem{{status.ProblemStarting, "", fmt.Errorf("waiting for the first fetch of %s", namesOf(fetched))}}
	}
	for _, tp := range fetched {
		s.settled[tp] = struct{}{}
	}
	s.problems.joined() // a share group tells its members nothing when they have joined
	return nil
}

func leadersOf(ctx context.Context, adm *kadm.Client, tps []topicPartition) (map[topicPartition]int32, error) {
	var topics []string
	for _, tp := range tps {
		topics = append(topics, tp.topic)
	}
	details, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	leaders := make(map[topicPartition]int32)
	for _, tp := range tps {
		leaders[tp] = details.Topics[tp.topic].Partitions[tp.partition].Leader
	}
	return leaders, nil
}
