package consume

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// classicBalancer is how a link shares partitions in a group of the classic protocol.
func classicBalancer(c *settings.Consumer) kgo.GroupBalancer {
	if len(c.Partitions) > 0 {
		return limitTo(c.Partitions)
	}
	return kgo.CooperativeStickyBalancer()
}

// Assignor is the name of that in Kafka: members of one group must have one in common.
func Assignor(c *settings.Consumer) string { return classicBalancer(c).ProtocolName() }

// limitTo is the cooperative-sticky balancer for groups that share only some partitions of each topic: the listed
// ones, sorted ascending. The real balancer never sees the others. For it, a topic has as many partitions as there
// are listed ones, numbered from 0; this type translates between those numbers and the real ones.
//
// The list is part of the protocol's name, so that a member with another list is refused by the broker
// (INCONSISTENT_GROUP_PROTOCOL) instead of being balanced with numbers that mean something else to it.
func limitTo(partitions []int32) kgo.GroupBalancer {
	return limitedBalancer{GroupBalancer: kgo.CooperativeStickyBalancer(), listed: partitions}
}

type limitedBalancer struct {
	kgo.GroupBalancer
	listed []int32
}

func (b limitedBalancer) ProtocolName() string {
	names := make([]string, len(b.listed))
	for i, p := range b.listed {
		names[i] = fmt.Sprint(p)
	}
	return b.GroupBalancer.ProtocolName() + "-of-" + strings.Join(names, ",")
}

func (b limitedBalancer) JoinGroupMetadata(interests []string, current map[string][]int32, generation int32) []byte {
	numbered := make(map[string][]int32, len(current))
	for topic, partitions := range current {
		for _, p := range partitions {
			if i, ok := slices.BinarySearch(b.listed, p); ok {
				numbered[topic] = append(numbered[topic], int32(i))
			}
		}
	}
	return b.GroupBalancer.JoinGroupMetadata(interests, numbered, generation)
}

func (b limitedBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	inner, topics, err := b.GroupBalancer.MemberBalancer(members)
	if err != nil {
		return nil, nil, err
	}
	return limitedMembers{inner: inner, listed: b.listed}, topics, nil
}

type limitedMembers struct {
	inner  kgo.GroupMemberBalancer
	listed []int32
}

// Balance implements kgo.GroupMemberBalancer. The client calls BalanceOrError instead, which can fail.
func (m limitedMembers) Balance(topics map[string]int32) kgo.IntoSyncAssignment {
	plan, err := m.BalanceOrError(topics)
	if err != nil {
		return syncAssignment(nil)
	}
	return plan
}

// BalanceOrError implements kgo.GroupMemberBalancerOrError.
func (m limitedMembers) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	numbered := make(map[string]int32, len(topics))
	for topic, count := range topics {
		// The list is sorted, so those that the topic has are the first ones.
		existing, _ := slices.BinarySearch(m.listed, count)
		numbered[topic] = int32(existing)
	}
	plan, err := balance(m.inner, numbered)
	if err != nil {
		return nil, err
	}
	assignments := plan.IntoSyncAssignment()
	for i := range assignments {
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(assignments[i].MemberAssignment); err != nil {
			return nil, fmt.Errorf("reading the balancer's own assignment: %w", err)
		}
		for j := range a.Topics {
			for k, n := range a.Topics[j].Partitions {
				a.Topics[j].Partitions[k] = m.listed[n]
			}
		}
		assignments[i].MemberAssignment = a.AppendTo(nil)
	}
	return syncAssignment(assignments), nil
}

func balance(members kgo.GroupMemberBalancer, topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	if b, ok := members.(kgo.GroupMemberBalancerOrError); ok {
		return b.BalanceOrError(topics)
	}
	return members.Balance(topics), nil
}

type syncAssignment []kmsg.SyncGroupRequestGroupAssignment

func (a syncAssignment) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return a }
