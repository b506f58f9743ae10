package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Refusals of [Seek] that somebody else can mend.
var (
	// ErrShareGroup says why offsets of a share group are not set.
	ErrShareGroup = errors.New("it reads by a share group (group_protocol=share): it has no offsets but a state for each record, which " +
		"Kafka's own tool sets (kafka-share-groups.sh --reset-offsets)")
	// ErrMembers says that somebody reads.
	ErrMembers = errors.New("the group has members, whose own commits would take its offsets back")
	// ErrTarget is what all errors are of a place that does not exist.
	ErrTarget = errors.New("there is no such place")
)

// noPlace is an error that is [ErrTarget].
type noPlace struct{ error }

func (noPlace) Is(target error) bool { return target == ErrTarget }

// Seek sets the offsets from which the group that s names goes on; with dry it only says where to. Nobody may be in the
// group: who has just left it is waited for, and Kafka refuses the commit of offsets by no member where one is left.
// What it returns is sorted by topic and partition. Kafka takes all offsets or, where somebody is in the group, none.
//
// A dry one asks for others in the group where leaving is not nil: it has the members that would have left.
func Seek(
	ctx context.Context, access *kafka.Access, s *settings.Consumer, to *control.Target, dry bool, leaving []string,
) ([]control.Move, error) {
	if s.GroupProtocol == settings.GroupShare {
		return nil, ErrShareGroup
	}
	cl, err := kgo.NewClient(access.Options()...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	defer cl.Close()
	k := seek{s: s, to: to, cl: cl, adm: kadm.NewClient(cl)}
	moves, err := k.find(ctx)
	if err != nil || dry && leaving == nil {
		return moves, err
	}
	if err := k.waitAlone(ctx, leaving); err != nil {
		return nil, err
	}
	if dry {
		return moves, nil
	}
	return moves, k.commit(ctx, moves)
}

// seek is one call of [Seek].
type seek struct {
	s       *settings.Consumer
	to      *control.Target
	cl      *kgo.Client
	adm     *kadm.Client
	topics  kadm.TopicDetails
	commits kadm.OffsetResponses
}

// find works out where the partitions are and go.
func (k *seek) find(ctx context.Context) ([]control.Move, error) {
	selected, err := selectedTopics(ctx, k.s, k.adm)
	if err != nil {
		return nil, err
	}
	if k.to.Topic != "" {
		id, there := selected[k.to.Topic]
		if !there {
			return nil, noPlace{fmt.Errorf("topic %s is none of those that it reads: %s", k.to.Topic, cmp.Or(strings.Join(slices.Sorted(maps.Keys(selected)), ", "), "none"))}
		}
		selected = map[string]kadm.TopicID{k.to.Topic: id}
	}
	names := slices.Sorted(maps.Keys(selected))
	if len(names) == 0 {
		return nil, noPlace{errors.New("none of its topics exists")}
	}
	details, err := k.adm.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	k.topics = details.Topics
	k.commits, err = k.adm.FetchOffsets(ctx, k.s.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetching committed offsets: %w", err)
	}
	lags, err := kafka.GroupLag(ctx, k.adm, k.s.Group, k.s.ReadCommitted, names...)
	if err != nil {
		return nil, err
	}
	var since kadm.ListedOffsets
	if k.to.To == control.ToTime {
		if since, err = k.adm.ListOffsetsAfterMilli(ctx, k.to.Time.UnixMilli(), names...); err != nil {
			return nil, fmt.Errorf("listing the offsets of a time: %w", err)
		}
	}
	var moves []control.Move
	for i := range lags {
		l := &lags[i]
		if len(k.s.Partitions) > 0 && !slices.Contains(k.s.Partitions, l.Partition) || k.to.Partition != nil && *k.to.Partition != l.Partition {
			continue
		}
		at, err := k.target(l, since)
		if err != nil {
			return nil, err
		}
		moves = append(moves, control.Move{Topic: l.Topic, Partition: l.Partition, From: l.Committed, To: at})
	}
	if len(moves) == 0 {
		return nil, noPlace{errors.New("it reads no such partition")}
	}
	return moves, nil
}

// target is where a partition goes.
func (k *seek) target(l *kafka.PartitionLag, since kadm.ListedOffsets) (int64, error) {
	tp := topicPartition{l.Topic, l.Partition}
	if l.Start < 0 || l.End < 0 {
		return 0, fmt.Errorf("the broker does not say where the log of %s begins and ends", tp)
	}
	switch k.to.To {
	case control.ToStart:
		return l.Start, nil
	case control.ToEnd:
		return l.End, nil
	case control.ToOffset:
		if at := *k.to.Offset; at < l.Start || at > l.End {
			return 0, noPlace{fmt.Errorf("offset %d is not in the log of %s, which has those from %d to %d", at, tp, l.Start, l.End)}
		}
		return *k.to.Offset, nil
	case control.ToTime:
		found, ok := since.Lookup(l.Topic, l.Partition)
		if !ok {
			return 0, fmt.Errorf("the broker names no offset of %s", tp)
		}
		if found.Err != nil {
			return 0, fmt.Errorf("listing the offset of a time of %s: %w", tp, found.Err)
		}
		if found.Offset < 0 {
			return l.End, nil // all records are older
		}
		return min(max(found.Offset, l.Start), l.End), nil
	default:
		return 0, fmt.Errorf("a seek goes to %s, %s, %s or %s, and not to %q", control.ToStart, control.ToEnd, control.ToTime, control.ToOffset, k.to.To)
	}
}

// aloneEvery spaces the questions whether somebody is left in the group.
const aloneEvery = 250 * time.Millisecond

// waitAlone waits until nobody is in the group, those left out who are leaving.
func (k *seek) waitAlone(ctx context.Context, leaving []string) error {
	var left []string // when the group last told
	for {
		members, err := k.members(ctx, leaving)
		if err == nil && len(members) == 0 {
			return nil
		}
		if err == nil {
			left = members
		}
		if !backoff.Sleep(ctx, aloneEvery) {
			if len(left) > 0 {
				return fmt.Errorf("%w: %s", ErrMembers, strings.Join(left, ", "))
			}
			return fmt.Errorf("asking who is in the group: %w", cmp.Or(err, ctx.Err()))
		}
	}
}

// members names who is in the group: by the classic request, which knows no members of KIP-848, and by that one's.
func (k *seek) members(ctx context.Context, leaving []string) ([]string, error) {
	classic, err := k.adm.DescribeGroups(ctx, k.s.Group)
	if err != nil {
		return nil, err
	}
	g := classic[k.s.Group]
	if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return nil, g.Err
	}
	var names []string
	for i := range g.Members {
		if slices.Contains(leaving, g.Members[i].MemberID) {
			continue
		}
		names = append(names, memberName(g.Members[i].ClientID, g.Members[i].ClientHost))
	}
	if len(g.Members) > 0 {
		return names, nil
	}
	// Brokers before 4.0 do not know it: then the first one's word counts, and that of the commit.
	if consumer, err := k.adm.DescribeConsumerGroups(ctx, k.s.Group); err == nil {
		for _, m := range consumer[k.s.Group].Members {
			if slices.Contains(leaving, m.MemberID) {
				continue
			}
			names = append(names, memberName(m.ClientID, m.ClientHost))
		}
	}
	return names, nil
}

func memberName(client, host string) string {
	return fmt.Sprintf("%s at %s", client, strings.TrimPrefix(host, "/"))
}

// commit has the group go on elsewhere. What is known of the topic stays with the offsets: a later session tells by it
// which partitions and topics came after the group began.
func (k *seek) commit(ctx context.Context, moves []control.Move) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = k.s.Group // by no member, which Kafka takes only where there is none
	topics := make(map[string]*kmsg.OffsetCommitRequestTopic)
	for _, m := range moves {
		t := topics[m.Topic]
		if t == nil {
			t = new(kmsg.NewOffsetCommitRequestTopic())
			t.Topic, t.TopicID = m.Topic, k.topics[m.Topic].ID
			topics[m.Topic] = t
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = m.Partition, m.To, -1
		p.Metadata = commit{meta: k.metadata(m)}.text()
		t.Partitions = append(t.Partitions, p)
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		req.Topics = append(req.Topics, *topics[name])
	}
	resp, err := req.RequestWith(ctx, k.cl)
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	var errs []error
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				errs = append(errs, seekRefusal(err))
			}
		}
	}
	return errors.Join(distinct(errs)...)
}

// seekRefusal is an error of a commit by no member. A broker refuses it for the group as a whole.
func seekRefusal(err error) error {
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.StaleMemberEpoch) ||
		errors.Is(err, kerr.RebalanceInProgress) {
		return fmt.Errorf("%w: somebody joined meanwhile (%w)", ErrMembers, err)
	}
	return fmt.Errorf("committing offsets: %w", err)
}

// distinct are errors without those that say the same as one before.
func distinct(errs []error) (list []error) {
	for _, err := range errs {
		if !slices.ContainsFunc(list, func(other error) bool { return other.Error() == err.Error() }) {
			list = append(list, err)
		}
	}
	return list
}

// metadata goes with the offset of a partition.
func (k *seek) metadata(m control.Move) commitMetadata {
	details := k.topics[m.Topic]
	meta := commitMetadata{topicID: details.ID, partitions: len(details.Partitions)}
	if before, ok := k.commits.Lookup(m.Topic, m.Partition); ok && before.Err == nil && before.At >= 0 {
		was, _ := parseMetadata(before.Metadata, before.At)
		meta.selection = was.selection
		if was.topicID == meta.topicID && was.partitions > 0 {
			meta.partitions = was.partitions
		}
	}
	return meta
}
