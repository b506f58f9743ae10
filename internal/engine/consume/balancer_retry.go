package consume

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// balanceApart has a balancer share out the retry topics of a link apart from its other topics. All that it looks at is
// numbers of partitions: of two members, it may give the topics of the link to one, and to the other those from which
// something comes only when records fail.
func balanceApart(b kgo.GroupBalancer, d *settings.Delivery) kgo.GroupBalancer {
	if len(d.RetryTopics) == 0 {
		return b
	}
	return apartBalancer{GroupBalancer: b, d: d}
}

type apartBalancer struct {
	kgo.GroupBalancer
	d *settings.Delivery
}

func (b apartBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	inner, topics, err := b.GroupBalancer.MemberBalancer(members)
	if err != nil {
		return nil, nil, err
	}
	return apartMembers{inner: inner, d: b.d}, topics, nil
}

type apartMembers struct {
	inner kgo.GroupMemberBalancer
	d     *settings.Delivery
}

// Balance implements kgo.GroupMemberBalancer. The client calls BalanceOrError instead, which can fail.
func (m apartMembers) Balance(topics map[string]int32) kgo.IntoSyncAssignment {
	plan, err := m.BalanceOrError(topics)
	if err != nil {
		return syncAssignment(nil)
	}
	return plan
}

// BalanceOrError implements kgo.GroupMemberBalancerOrError.
func (m apartMembers) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	own, retries := make(map[string]int32), make(map[string]int32)
	for topic, count := range topics {
		if m.d.RetryTopic(topic) != nil {
			retries[topic] = count
		} else {
			own[topic] = count
		}
	}
	var all syncAssignment
	at := make(map[string]int)
	for _, part := range []map[string]int32{own, retries} {
		plan, err := balance(m.inner, part)
		if err != nil {
			return nil, err
		}
		for _, given := range plan.IntoSyncAssignment() {
			i, known := at[given.MemberID]
			if !known {
				at[given.MemberID] = len(all)
				all = append(all, given)
				continue
			}
			if all[i].MemberAssignment, err = joinAssignments(all[i].MemberAssignment, given.MemberAssignment); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// joinAssignments makes one assignment of two of different topics.
func joinAssignments(one, two []byte) ([]byte, error) {
	var a, b kmsg.ConsumerMemberAssignment
	for _, text := range []struct {
		data []byte
		to   *kmsg.ConsumerMemberAssignment
	}{{one, &a}, {two, &b}} {
		if err := text.to.ReadFrom(text.data); err != nil {
			return nil, fmt.Errorf("reading the balancer's own assignment: %w", err)
		}
	}
	a.Topics = append(a.Topics, b.Topics...)
	return a.AppendTo(nil), nil
}
