package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"messaging-kafka/internal/kafka"
	"messaging-kafka/internal/status"
)

// problems gathers what is wrong with a session at present. It is a hook of the Kafka client: what a client retries
// by itself shows nowhere else. Its methods may be called by many goroutines at once.
type problems struct {
	access *kafka.Access
	group  string

	mu        sync.Mutex
	member    bool
	groupErr  error
	startErr  error
	commitErr error
	checks    []trouble
	// partitions are those that cannot be read. Each stays until it is known that it can be, or it is given up: that an
	// error has not been repeated says nothing, for the client does not repeat all of them, and does not fetch where there
	// is no room.
	partitions map[topicPartition]error
}

// trouble is one thing that is wrong. doing ends in ": " or is empty.
type trouble struct {
	kind  status.ProblemKind
	doing string
	err   error
}

var _ kgo.HookGroupManageError = (*problems)(nil)

// OnGroupManageError keeps why the group could not be joined or was left.
func (p *problems) OnGroupManageError(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groupErr, p.member = err, false
}

func (p *problems) joined() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groupErr, p.member = nil, true
}

func (p *problems) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.member = false
}

func (p *problems) setStart(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startErr = err
}

func (p *problems) setCommit(err error) {
	if err != nil && passing(err) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commitErr = err
}

func (p *problems) setChecks(found []trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks = found
}

func (p *problems) setPartition(tp topicPartition, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.partitions == nil {
		p.partitions = make(map[topicPartition]error)
	}
	p.partitions[tp] = err
}

func (p *problems) clearPartition(tp topicPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.partitions, tp)
}

func (p *problems) clearPartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.partitions)
}

// list returns whether the group has been joined, and each problem once, in words for the operator.
func (p *problems) list() (member bool, list status.Problems) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add := func(kind status.ProblemKind, doing string, err error) {
		if err != nil {
			list.Add(kind, doing+p.access.Explain(err).Text)
		}
	}
	for _, c := range p.checks {
		add(c.kind, c.doing, c.err)
	}
	add(status.ProblemGroup, "", p.groupErr)
	add(status.ProblemPartition, "", p.startErr)
	add(status.ProblemCommit, "committing offsets: ", p.commitErr)
	tps := make([]topicPartition, 0, len(p.partitions))
	for tp := range p.partitions {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, compareTopicPartitions)
	for _, tp := range tps {
		add(status.ProblemPartition, fmt.Sprintf("reading %s: ", tp), p.partitions[tp])
	}
	if !p.member && len(list) == 0 {
		if add(status.ProblemKafka, "", p.access.LastFailure()); len(list) == 0 {
			list.Add(status.ProblemStarting, "joining group "+p.group)
		}
	}
	return p.member, list
}

func compareTopicPartitions(a, b topicPartition) int {
	if a.topic != b.topic {
		if a.topic < b.topic {
			return -1
		}
		return 1
	}
	return int(a.partition) - int(b.partition)
}
