package kafka

import (
	"context"
	"errors"

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
