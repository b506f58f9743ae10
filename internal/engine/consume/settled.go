package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// settled is what a member knows of who reads the partitions of its link. It is what health waits for before it says
// that all is well: who waits for that and produces then must not find that nobody reads yet. session.mu protects it.
type settled struct {
	// all tells that every partition had a reader since the group was joined. From then on the group moves them by itself,
	// and only those that are new are waited for.
	all bool
	// read are the partitions that have been seen to be given to somebody.
	read map[topicPartition]struct{}
	// losses counts how often the group was lost.
	losses int
}

// unsettle forgets who reads what: the group has gone on without this member.
func (s *session) unsettle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = settled{losses: s.settled.losses + 1}
}

// awaited finds out which of the partitions that the link is to read the group has given to nobody. A member that has
// none itself, because there are more members than partitions, is well when others have them.
func (s *session) awaited(ctx context.Context, wanted []topicPartition, ids map[kadm.TopicID]string) []problem {
	if !s.problems.isMember() {
		return nil // that it is joining is told already
	}
	s.mu.Lock()
	losses := s.settled.losses
	read := make(map[topicPartition]struct{})
	var open []topicPartition
	for _, tp := range wanted {
		_, before := s.settled.read[tp]
		if before || s.assigned[tp] != nil {
			read[tp] = struct{}{}
		} else {
			open = append(open, tp)
		}
	}
	s.mu.Unlock()
	var left []topicPartition
	if len(open) > 0 {
		given, err := givenPartitions(ctx, s.cl, &s.cfg.Settings.Consumer, ids)
		if unseen(err) {
			s.log.Warn("who else is in the group and has which partitions cannot be seen: health is of this copy's alone", "error", err)
			given, err = kadm.TopicsSet{}, nil
			for _, tp := range open {
				given.Add(tp.topic, tp.partition)
			}
		}
		if err != nil {
			return []problem{{status.ProblemGroup, "asking the group who reads which partitions: ", err}}
		}
		for _, tp := range open {
			if given.Lookup(tp.topic, tp.partition) {
				read[tp] = struct{}{}
			} else {
				left = append(left, tp)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled.losses == losses {
		s.settled.read = read
		s.settled.all = s.settled.all || len(left) == 0 && len(wanted) > 0
	}
	if len(left) == 0 {
		return nil
	}
	return []problem{{status.ProblemStarting, "", fmt.Errorf("group %s has given nobody %s yet", s.cfg.Settings.Consumer.Group, namesOf(left))}}
}

// givenPartitions are those that members of the group have. ids name the topics that the link reads.
func givenPartitions(ctx context.Context, cl *kgo.Client, c *settings.Consumer, ids map[kadm.TopicID]string) (kadm.TopicsSet, error) {
	if c.GroupProtocol == settings.GroupConsumer {
		return givenByBroker(ctx, cl, c.Group, ids)
	}
	groups, err := kadm.NewClient(cl).DescribeGroups(ctx, c.Group)
	if err != nil {
		return nil, err
	}
	g := groups[c.Group]
	if g.State != "Dead" && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return g.AssignedPartitions(), g.Err
	}
	// While a group moves to KIP-848, members of both protocols are in it, and it is one of the new.
	given, err := givenByBroker(ctx, cl, c.Group, ids)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // it has just ended
	}
	return given, err
}

// givenByBroker are the partitions that members of a group of KIP-848 have.
func givenByBroker(ctx context.Context, cl *kgo.Client, group string, ids map[kadm.TopicID]string) (kadm.TopicsSet, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	given := make(kadm.TopicsSet)
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, err
		}
		for _, m := range g.Members {
			for _, t := range m.Assignment.TopicPartitions {
				given.Add(cmp.Or(t.Topic, ids[t.TopicID]), t.Partitions...)
			}
		}
	}
	return given, nil
}

// unseen tells of the answer of a broker that keeps the members of a group to itself: one of them has a topic that this
// user may not see. There is nothing to wait for then but what the member itself has.
func unseen(err error) bool { return errors.Is(err, kerr.TopicAuthorizationFailed) }

// addUnsettled tells what of the group is still to come. s.mu is held.
func (s *session) addUnsettled(st *Status) {
	var finding []topicPartition
	for tp, a := range s.assigned {
		if a.committed.offset < 0 {
			finding = append(finding, tp)
		}
	}
	switch {
	case len(finding) > 0:
		st.Problems.Add(status.ProblemStarting, "finding from where to read "+namesOf(slices.SortedFunc(slices.Values(finding), compareTopicPartitions)))
	case len(st.Problems) == 0 && !s.settled.all:
		st.Problems.Add(status.ProblemStarting, "waiting for group "+s.cfg.Settings.Consumer.Group+" to give out the partitions")
	}
}
