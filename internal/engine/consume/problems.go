package consume

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// problems gathers what is wrong with a session at present. It is a hook of the Kafka client: what a client retries
// by itself shows nowhere else. Its methods may be called by many goroutines at once.
type problems struct {
	access *kafka.Access
	group  string
	log    *slog.Logger

	mu       sync.Mutex
	member   bool
	groupErr error
	// mismatch says more of a groupErr that tells of members of another kind.
	mismatch  error
	originErr error
	startErr  error
	commitErr error
	// refusedSince is since when commits have failed for a reason that is about to pass, zero while they have not.
	refusedSince time.Time
	// unended is why a transaction has failed of which it is not known how it ended: that ends a session, and with it what
	// waits to be committed. Where it was an earlier session's, it is told until unendedUntil, and whenever something is
	// being committed, until a commit is taken or nothing is left to commit.
	unended      error
	unendedHere  bool // in this session, in which nothing that comes behind it says more
	unendedUntil time.Time
	committing   bool
	checks       []problem
	// partitions are those that cannot be read. Each stays until it is known that it can be, or it is given up: that an
	// error has not been repeated says nothing, for the client does not repeat all of them, and does not fetch where there
	// is no room.
	partitions map[topicPartition]error
}

// problem is one thing that is wrong. doing ends in ": " or is empty.
type problem struct {
	kind  status.ProblemKind
	doing string
	err   error
}

var _ kgo.HookGroupManageError = (*problems)(nil)

// OnGroupManageError keeps why the group could not be joined or was left. Each attempt reports it again.
func (p *problems) OnGroupManageError(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	cause := p.access.Explain(err).Text
	if p.groupErr == nil || p.access.Explain(p.groupErr).Text != cause {
		p.log.Warn("there is no membership in the group: it is joined again", "consumer_group", p.group, "reason", cause)
	}
	if !errors.Is(err, kerr.InconsistentGroupProtocol) {
		p.mismatch = nil
	}
	p.groupErr, p.member = err, false
}

// mismatched returns why the group does not take this member, where that is because of the members that it has.
func (p *problems) mismatched() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(p.groupErr, kerr.InconsistentGroupProtocol) {
		return p.groupErr
	}
	return nil
}

// setMismatch keeps what was found out about such an error, if it is still there.
func (p *problems) setMismatch(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(p.groupErr, kerr.InconsistentGroupProtocol) {
		p.mismatch = err
	}
}

// joined notes a new assignment. Why places were not found was about the one before, which has ended with that; this
// one may hold no partition for which there would be another word.
func (p *problems) joined() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groupErr, p.mismatch, p.startErr, p.member = nil, nil, nil, true
}

func (p *problems) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.member = false
}

func (p *problems) isMember() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.member
}

func (p *problems) setOrigin(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.originErr = err
}

func (p *problems) setStart(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startErr = err
}

// betweenMost is for how long commits may fail because the group is between two generations, without a wait for others:
// a member hears of the next one by a heartbeat.
const betweenMost = 10 * time.Second

// setCommit notes what became of a commit. waits tells whether the member waits for others in a rebalance.
func (p *problems) setCommit(err error, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil || !passing(err):
		p.commitErr, p.refusedSince = err, time.Time{}
	case waits:
		p.refusedSince = time.Time{}
	case p.refusedSince.IsZero():
		p.refusedSince = time.Now()
	case time.Since(p.refusedSince) >= betweenMost:
		p.commitErr = err
	}
}

// unendedFor is for how long a session tells why the one before it has ended though it has nothing to commit itself:
// records are delivered again, and calls of a component may take long.
const unendedFor = 30 * time.Second

// inherit takes over what an earlier session has left in unended.
func (p *problems) inherit(unended error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unended, p.unendedUntil = unended, time.Now().Add(unendedFor)
}

// setUnended notes the first transaction of this session of which it is not known how it ended.
func (p *problems) setUnended(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.unendedHere {
		p.unended, p.unendedHere = err, true
	}
}

// settled notes that transactions end, or that there is nothing for one.
func (p *problems) settled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.unendedHere {
		p.unended = nil
	}
}

func (p *problems) getUnended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unended
}

// setCommitting notes whether something is being committed.
func (p *problems) setCommitting(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committing = on
}

// commitFailure is why the last commits have failed. p.mu is held.
func (p *problems) commitFailure() error {
	if p.unendedHere || p.commitErr == nil && (p.committing || time.Now().Before(p.unendedUntil)) {
		return p.unended
	}
	return p.commitErr
}

// commitFailed says in words what a commit failed for. doing ends in ": ".
func commitFailed(access *kafka.Access, err error) (kind status.ProblemKind, doing, cause string) {
	if errors.Is(err, produce.ErrOutput) {
		return status.ProblemOutputs, "outputs cannot be produced: ", causeOf(access, err)
	}
	return status.ProblemCommit, "committing offsets: ", causeOf(access, err)
}

// causeOf is an error in words for the operator, "" for none.
func causeOf(access *kafka.Access, err error) string {
	if err == nil {
		return ""
	}
	if output, ok := errors.AsType[*produce.OutputError](err); ok && errors.Is(err, produce.ErrOutput) {
		return output.Error() // the cause alone would not tell which of the link's topics it is about
	}
	return access.Explain(err).Text
}

func (p *problems) setChecks(found []problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks = found
}

// setPartition keeps why a partition cannot be read, and tells whether no other has the same cause at present.
func (p *problems) setPartition(tp topicPartition, err error) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cause := p.access.Explain(err).Text
	news = true
	for _, other := range p.partitions {
		news = news && p.access.Explain(other).Text != cause
	}
	if p.partitions == nil {
		p.partitions = make(map[topicPartition]error)
	}
	p.partitions[tp] = err
	return news
}

func (p *problems) clearPartition(tp topicPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.partitions, tp)
}

func (p *problems) clearTopics(topics []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.partitions, func(tp topicPartition, _ error) bool { return slices.Contains(topics, tp.topic) })
}

func (p *problems) clearPartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.partitions)
}

// list returns whether the group has been joined, and each cause once, in words for the operator.
func (p *problems) list() (member bool, list status.Problems) {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := make(map[string]bool)
	add := func(kind status.ProblemKind, doing, cause string) {
		if cause == "" || told[cause] || told[doing+cause] {
			return
		}
		// Several topics may have the same fault.
		if kind == status.ProblemTopic {
			told[doing+cause] = true
		} else {
			told[cause] = true
		}
		list.Add(kind, doing+cause)
	}
	cause := func(err error) string { return causeOf(p.access, err) }
	add(status.ProblemKafka, "", cause(p.access.TooLarge()))
	for _, c := range p.checks {
		add(c.kind, c.doing, cause(c.err))
	}
	add(status.ProblemGroup, "", cause(cmp.Or(p.mismatch, p.groupErr)))
	add(status.ProblemPartition, "", cause(p.originErr))
	add(status.ProblemPartition, "", cause(p.startErr))
	add(commitFailed(p.access, p.commitFailure()))
	var causes []string // in the order of the first partition of each
	failing := make(map[string][]topicPartition)
	for _, tp := range slices.SortedFunc(maps.Keys(p.partitions), compareTopicPartitions) {
		c := cause(p.partitions[tp])
		if told[doingTopic(tp.topic)+c] {
			continue
		}
		if failing[c] == nil {
			causes = append(causes, c)
		}
		failing[c] = append(failing[c], tp)
	}
	for _, c := range causes {
		add(status.ProblemPartition, "reading "+namesOf(failing[c])+": ", c)
	}
	if !p.member && len(list) == 0 {
		if add(status.ProblemKafka, "", cause(p.access.LastFailure())); len(list) == 0 {
			list.Add(status.ProblemStarting, "joining group "+p.group)
		}
	}
	return p.member, list
}

func doingTopic(topic string) string { return "topic " + topic + ": " }

// maxNames is how many partitions are named that have one cause; the others are counted.
const maxNames = 5

func namesOf(tps []topicPartition) string { return text.List(tps, maxNames, topicPartition.String) }

func compareTopicPartitions(a, b topicPartition) int {
	if a.topic != b.topic {
		if a.topic < b.topic {
			return -1
		}
		return 1
	}
	return int(a.partition) - int(b.partition)
}
