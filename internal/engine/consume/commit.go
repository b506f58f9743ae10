package consume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
)

// commitTimeout bounds a commit between rebalances.
const commitTimeout = 10 * time.Second

// commitLoop commits at every commit_interval what has been finished since the last time.
func (s *session) commitLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Settings.Consumer.CommitInterval)
	defer tick.Stop()
	early := s.early
	for {
		select {
		case <-tick.C:
		case <-early:
		case <-ctx.Done():
			return
		}
		// Not of ctx: a commit that is under way when the session stops is better ended than cut off.
		attempt, cancel := context.WithTimeout(s.cut, commitTimeout)
		err := s.commit(attempt, nil)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.problems.setCommit(err, s.fence.waits())
		if err == nil && s.problems.getUnended() != nil && s.committedAll() {
			s.problems.settled()
		}
		if s.fence.passedBy(err, time.Now()) {
			s.leaveCalls(errForgotten)
		}
		if early = s.early; err != nil {
			early = nil // what could not be committed is tried again at its interval, and not all the time
		}
	}
}

// committedAll tells whether this member has nothing to commit: what its partitions hold is committed.
func (s *session) committedAll() bool {
	if !s.problems.isMember() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.assigned {
		if a.end < 0 || a.committed.offset < a.end {
			return false
		}
	}
	return true
}

// commit commits the finished offsets of the given partitions, of all assigned ones where only is nil.
//
// The lock is what keeps a late commit from harming a new owner. Without it: the committer collects partition 0 at
// offset 50; the partition is revoked, committed at 60 and handed over; the new owner commits 90; now the committer
// sends its 50 under our membership, which is still good for other partitions, and the broker takes it.
func (s *session) commit(ctx context.Context, only map[topicPartition]*assignment) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	if s.transactor != nil {
		return s.commitTransaction(ctx, only)
	}
	going := s.uncommitted(only)
	if len(going) == 0 {
		return nil
	}
	err := s.send(ctx, going)
	s.cfg.Observer.Committed(err)
	return err
}

// commits is what is to be committed of partitions in one request.
type commits map[topicPartition]commitOf

// commitOf is what is to be committed of one partition.
type commitOf struct {
	owner *assignment
	commit
}

// commit is what Kafka keeps of a partition, or is to keep.
type commit struct {
	offset int64 // -1: not known
	epoch  int32 // the leader epoch that the offset came with
	meta   commitMetadata
	// ahead are the finished records beyond offset, as the metadata has them.
	ahead string
}

// text is the metadata of the commit, nil where there is none.
func (c commit) text() *string {
	text := c.meta.String()
	if text == "" {
		return nil
	}
	if c.ahead != "" {
		text += aheadField + c.ahead
	}
	return &text
}

// commitAt is what is to be committed of an assignment that is at a position. ok is false where that has been committed
// already. s.mu is held.
func (s *session) commitAt(a *assignment, at dispatch.Position) (c commitOf, ok bool) {
	c = commitOf{owner: a, commit: a.committed}
	if at.Offset >= 0 { // else nothing is finished but records beyond the lowest one
		c.offset, c.epoch = at.Offset, at.Epoch
	}
	c.ahead = ""
	if c.offset < 0 {
		return c, false
	}
	if c.meta.knowsTopic() && !s.offsetsAlone {
		c.ahead = encodeAhead(c.offset, at.Ahead)
	}
	// An offset that was committed of the log of an earlier leader sends a later session back to where that log ended.
	return c, c.offset != a.committed.offset || c.epoch != a.committed.epoch || c.ahead != a.committed.ahead
}

// taken notes that Kafka has taken a commit. s.mu is held.
func (c commitOf) taken() {
	a := c.owner
	step := c.offset != a.committed.offset
	a.committed, a.committedAt = c.commit, time.Now()
	if step {
		a.behindSince = time.Time{}
		a.noteBehind(a.committedAt)
		a.Committed(c.offset)
	}
}

func (cs commits) owners() iter.Seq2[topicPartition, *assignment] {
	return func(yield func(topicPartition, *assignment) bool) {
		for tp, c := range cs {
			if !yield(tp, c.owner) {
				return
			}
		}
	}
}

// uncommitted collects what has been finished since the last commit: offsets that have moved, and records beyond them.
// Where an earlier commit may still arrive, what has been committed goes with it now and then, and in any case when
// partitions are handed over or the session ends.
func (s *session) uncommitted(only map[topicPartition]*assignment) commits {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.closing || only != nil
	if only == nil {
		only = s.assigned
	}
	now := time.Now()
	late := s.unanswered.possible(now)
	going := make(commits)
	for tp, a := range only {
		if s.assigned[tp] != a {
			continue
		}
		at, ok := a.Position()
		if !ok {
			continue
		}
		c, ok := s.commitAt(a, at)
		if ok || c.offset >= 0 && late && (last || now.Sub(a.committedAt) >= recommitEvery) {
			going[tp] = c
		}
	}
	return going
}

// errOtherMember ends a session whose partitions were given to another membership than it has now.
var errOtherMember = errors.New("the group has forgotten this member, and taken it in again as another: its partitions may have had another owner meanwhile")

// memberOf returns the member as which partitions may be committed, and ends the session where there is none. The
// client takes a new membership without a word where the group has forgotten the old one before the member could join a
// rebalance, and goes on with its partitions: the broker would take offsets of them that are behind another owner's,
// and outputs a second time.
//
// The membership is read once, and whoever asks sends that one: each request anew, since the client may have taken
// another one since the request before.
func (s *session) memberOf(owners iter.Seq2[topicPartition, *assignment]) (produce.Member, error) {
	m := produce.Member{Group: s.cfg.Settings.Consumer.Group, InstanceID: s.cfg.Settings.Consumer.InstanceID}
	m.MemberID, m.Generation = s.cl.GroupMetadata()
	for tp, a := range owners {
		// The broker takes offsets from nobody in particular without a look at who owns the partitions.
		if m.MemberID != a.member || m.MemberID == "" || m.Generation < 0 {
			err := fmt.Errorf("committing %s: %w", tp, errOtherMember)
			s.fail(err)
			return produce.Member{}, err
		}
	}
	return m, nil
}

// send makes one commit request and notes what the broker took. s.committing is held.
//
// The request is made by hand rather than by the client's own commit functions: those warn of a lost session when
// they are used before the first fetch, as the pinning of a start is.
func (s *session) send(ctx context.Context, going commits) error {
	for attempt := 1; ; attempt++ {
		err := s.sendOnce(ctx, going)
		if s.tooMuchMetadata(err) {
			for tp, c := range going {
				c.ahead = ""
				going[tp] = c
			}
			continue
		}
		// A member of a KIP-848 group learns of a new epoch by its next heartbeat; until then its commits are stale. One of
		// a classic group cannot commit from when all members have joined again until it has its new assignment. No other
		// member can get these partitions meanwhile: handing them over takes the lock, too. The membership can be another one
		// by the next try, which memberOf finds.
		between := errors.Is(err, kerr.StaleMemberEpoch) || errors.Is(err, kerr.RebalanceInProgress)
		if !between || attempt == betweenRetries || !backoff.Sleep(ctx, betweenWait) {
			return err
		}
	}
}

// tooMuchMetadata tells whether a broker takes less metadata than brokers do by default. From then on the session
// commits offsets alone.
func (s *session) tooMuchMetadata(err error) bool {
	if !errors.Is(err, kerr.OffsetMetadataTooLarge) || s.offsetsAlone {
		return false
	}
	s.offsetsAlone = true
	s.log.Warn("the brokers take no more than offsets (offset.metadata.max.bytes): records that are finished behind an unfinished one are delivered again after a restart")
	return true
}

const (
	betweenRetries = 20
	betweenWait    = 25 * time.Millisecond
)

func (s *session) sendOnce(ctx context.Context, going commits) error {
	m, err := s.memberOf(going.owners())
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = m.Group, m.MemberID, m.Generation
	if m.InstanceID != "" {
		req.InstanceID = &m.InstanceID
	}
	topics := make(map[string]*kmsg.OffsetCommitRequestTopic)
	names := make(map[[16]byte]string)
	for tp, c := range going {
		t := topics[tp.topic]
		if t == nil {
			t = new(kmsg.NewOffsetCommitRequestTopic())
			t.Topic = tp.topic
			t.TopicID = c.meta.topicID // from version 10 of the request on, brokers go by the id alone
			topics[tp.topic], names[t.TopicID] = t, tp.topic
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = tp.partition, c.offset, c.epoch
		p.Metadata = c.text()
		t.Partitions = append(t.Partitions, p)
	}
	for _, t := range topics {
		req.Topics = append(req.Topics, *t)
	}
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	var errs []error
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range resp.Topics {
		topic := t.Topic
		if topic == "" {
			topic = names[t.TopicID]
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				errs = append(errs, fmt.Errorf("committing the offset of %s/%d: %w", topic, p.Partition, err))
				continue
			}
			if c, ok := going[topicPartition{topic, p.Partition}]; ok {
				c.taken()
			}
		}
	}
	return errors.Join(errs...)
}

// passing tells whether a commit failed for a reason that the next one does not share: the group is between two
// generations, and what could not be committed now will be at the next interval or by the next owner.
func passing(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.StaleMemberEpoch)
}
