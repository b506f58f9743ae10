package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupKind says by which protocol the members of a group share its work. A group is of one kind, as long as it exists.
type GroupKind string

// The kinds of groups.
const (
	KindNone     GroupKind = "" // there is no such group
	KindClassic  GroupKind = "classic"
	KindConsumer GroupKind = "consumer"
	KindShare    GroupKind = "share"
	KindStreams  GroupKind = "streams"
)

// KindOfGroup asks of which kind a group is. It needs the ACL Describe on it, which Read implies. Brokers that do not
// know a kind have no group of it.
func KindOfGroup(ctx context.Context, cl kmsg.Requestor, group string) (GroupKind, error) {
	share := kmsg.NewPtrShareGroupDescribeRequest()
	share.GroupIDs = []string{group}
	if resp, err := share.RequestWith(ctx, cl); err == nil && len(resp.Groups) == 1 {
		if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); err == nil {
			return KindShare, nil
		} else if !errors.Is(err, kerr.GroupIDNotFound) {
			return KindNone, err
		}
	}
	consumer := kmsg.NewPtrConsumerGroupDescribeRequest()
	consumer.Groups = []string{group}
	if resp, err := consumer.RequestWith(ctx, cl); err == nil && len(resp.Groups) == 1 && resp.Groups[0].ErrorCode == 0 {
		return KindConsumer, nil
	}
	streams := kmsg.NewPtrStreamsGroupDescribeRequest()
	streams.Groups = []string{group}
	if resp, err := streams.RequestWith(ctx, cl); err == nil && len(resp.Groups) == 1 && resp.Groups[0].ErrorCode == 0 {
		return KindStreams, nil
	}
	classic := kmsg.NewPtrDescribeGroupsRequest()
	classic.Groups = []string{group}
	resp, err := classic.RequestWith(ctx, cl)
	if err != nil {
		return KindNone, err
	}
	for _, g := range resp.Groups {
		switch err := kerr.ErrorForCode(g.ErrorCode); {
		case errors.Is(err, kerr.GroupIDNotFound):
			return KindNone, nil
		case err != nil:
			return KindNone, err
		case g.State != "" && g.State != "Dead":
			return KindClassic, nil
		}
	}
	return KindNone, nil
}

// cooperativeText is what helps a link of the classic protocol into a group whose members share otherwise.
const cooperativeText = "give them org.apache.kafka.clients.consumer.CooperativeStickyAssignor (partition.assignment.strategy), set group_protocol=consumer, which Kafka 4.0 and later let join beside them, or use another consumer_group"

// GroupMismatchError is why a group does not take a link of the classic protocol.
type GroupMismatchError struct {
	// Kind is that of the group.
	Kind GroupKind
	// Type is the protocol type of a classic group: "consumer", "connect".
	Type string
	// Theirs and Ours are the names of what the members of a classic group and the link share its partitions by.
	Theirs, Ours string
	Err          error
}

// Error implements error.
func (e *GroupMismatchError) Error() string { return e.text() }

// Unwrap returns what the broker answered.
func (e *GroupMismatchError) Unwrap() error { return e.Err }

// ofPartitions is in the names of the assignors of links with consumer_partitions.
const ofPartitions = "-of-"

func (e *GroupMismatchError) text() string {
	switch {
	case e.Kind == KindShare || e.Kind == KindConsumer:
		return fmt.Sprintf("the group is of the kind %s, and this member has group_protocol=classic: set group_protocol=%s, or use another consumer_group", e.Kind, e.Kind)
	case e.Kind != KindClassic:
		return fmt.Sprintf("the group is of the kind %s, which has no members from here: use another consumer_group", e.Kind)
	case e.Type != "" && e.Type != "consumer":
		return fmt.Sprintf("the group is not one of consumers but of %s: use another consumer_group", e.Type)
	case strings.Contains(e.Theirs+e.Ours, ofPartitions):
		return fmt.Sprintf("the group's members share its partitions by %s, and this member by %s: make consumer_partitions the same in the whole group, or use another consumer_group", e.Theirs, e.Ours)
	default:
		return fmt.Sprintf("the group's members share its partitions by %s, and this member by %s: %s", e.Theirs, e.Ours, cooperativeText)
	}
}

// MayAgree tells whether the members may have an assignor in common with the link all the same: of several that a
// member has, brokers tell the one that is in use.
func (e *GroupMismatchError) MayAgree() bool {
	return e.Kind == KindClassic && (e.Type == "" || e.Type == "consumer") && !strings.Contains(e.Theirs+e.Ours, ofPartitions)
}

// Mismatch looks at a group that did not take a link of the classic protocol, and returns a [GroupMismatchError] around
// err that says why; err where nobody can tell.
func Mismatch(ctx context.Context, cl kmsg.Requestor, group, ours string, err error) error {
	kind, asked := KindOfGroup(ctx, cl, group)
	switch {
	case asked != nil || kind == KindNone:
		return err
	case kind != KindClassic:
		return &GroupMismatchError{Kind: kind, Ours: ours, Err: err}
	}
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, asked := req.RequestWith(ctx, cl)
	if asked != nil {
		return err
	}
	for _, g := range resp.Groups {
		if g.Protocol != "" && g.Protocol != ours { // it is told of groups at rest only
			return &GroupMismatchError{Kind: kind, Type: g.ProtocolType, Theirs: g.Protocol, Ours: ours, Err: err}
		}
	}
	return err
}
