package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// checkGroup tells whether the link may join its group, and who is in it.
func (r *run) checkGroup(ctx context.Context) bool {
	c := &r.settings.Consumer
	if !c.Enabled() {
		r.skip(StepGroup, "the {link} reads no topic and joins no group")
		return true
	}
	target := "group " + c.Group
	if kind, err := r.groupKind(ctx); err == nil && kind != kafka.KindNone &&
		(kind == kafka.KindShare) != (c.GroupProtocol == settings.GroupShare) {
		r.add(Finding{StepGroup, target, Fail, kafka.ClassGroupProtocol,
			fmt.Sprintf("it exists as a group of the kind %s, and the {link} has group_protocol=%s: "+
				"use another consumer_group, or make group_protocol the kind of the group", kind, c.GroupProtocol)})
		return true
	}
	group, err := r.askGroup(ctx)
	if err != nil {
		r.add(r.failed(StepGroup, target, err))
		return true
	}
	switch may := rights(group.AuthorizedOperations); {
	case !may.known():
		r.add(Finding{StepGroup, target, Warn, "",
			"whether this user has the ACL Read on it is not known: the broker does not tell, as before Kafka 2.3"})
	case !may.has(kmsg.ACLOperationRead):
		d := r.access.Explain(kerr.GroupAuthorizationFailed)
		r.add(Finding{StepGroup, target, Fail, d.Class, "Read is missing: " + d.Text})
	default:
		r.add(Finding{StepGroup, target, OK, "", "the ACL Read is there; " + r.describeGroup(ctx, &group)})
	}
	if ours := consume.Assignor(c); c.GroupProtocol == settings.GroupClassic && len(group.Members) > 0 &&
		group.Protocol != "" && group.Protocol != ours {
		r.add(r.judgeMembers(target, &kafka.GroupMismatchError{Kind: kafka.KindClassic, Type: group.ProtocolType,
			Theirs: group.Protocol, Ours: ours, Err: kerr.InconsistentGroupProtocol}))
	}
	return true
}

// judgeMembers says what the members of a group do otherwise than the link. Of the assignors that a member has, brokers
// tell the one that is in use.
func (r *run) judgeMembers(target string, mismatch *kafka.GroupMismatchError) Finding {
	d := r.access.Explain(mismatch)
	if mismatch.MayAgree() {
		return Finding{StepGroup, target, Warn, d.Class,
			"if they have no other in common with the {link}, which Kafka's own clients have by default, it is refused: " + d.Text}
	}
	return Finding{StepGroup, target, Fail, d.Class, d.Text}
}

func (r *run) groupKind(ctx context.Context) (kafka.GroupKind, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return kafka.KindOfGroup(ctx, r.client, r.settings.Consumer.Group)
}

// coordinatorPause spaces the questions to a group whose coordinator is not there yet.
const coordinatorPause = 250 * time.Millisecond

// askGroup asks again while the group's coordinator starts: a cluster that never had a group makes the topic in which
// it keeps groups at the first question.
func (r *run) askGroup(ctx context.Context) (kmsg.DescribeGroupsResponseGroup, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{r.settings.Consumer.Group}, true
	for {
		resp, err := ask[*kmsg.DescribeGroupsResponse](ctx, r.client, req)
		if err == nil && len(resp.Groups) != 1 {
			return kmsg.DescribeGroupsResponseGroup{}, fmt.Errorf("the broker told of %d groups where one was asked for",
				len(resp.Groups))
		}
		if err == nil {
			err = kerr.ErrorForCode(resp.Groups[0].ErrorCode)
		}
		if err == nil {
			return resp.Groups[0], nil
		}
		if !errors.Is(err, kerr.CoordinatorNotAvailable) && !errors.Is(err, kerr.CoordinatorLoadInProgress) &&
			!errors.Is(err, kerr.NotCoordinator) {
			return kmsg.DescribeGroupsResponseGroup{}, err
		}
		if !backoff.Sleep(ctx, coordinatorPause) {
			return kmsg.DescribeGroupsResponseGroup{}, err
		}
	}
}

// describeGroup says who is in the group. Members that cannot be described are left out: it is no condition for
// joining.
func (r *run) describeGroup(ctx context.Context, classic *kmsg.DescribeGroupsResponseGroup) string {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	admin, name := kadm.NewClient(r.client), classic.Group
	state, members := classic.State, len(classic.Members)
	switch r.settings.Consumer.GroupProtocol {
	case settings.GroupConsumer:
		if d, err := admin.DescribeConsumerGroups(ctx, name); err == nil && d[name].Err == nil {
			state, members = d[name].State, len(d[name].Members)
		}
	case settings.GroupShare:
		if d, err := admin.DescribeShareGroups(ctx, name); err == nil && d[name].Err == nil {
			state, members = d[name].GroupState, len(d[name].Members)
		}
	case settings.GroupClassic: // that is what classic says
	}
	if state == "Dead" || state == "" {
		return "it does not exist yet, and begins with the first member"
	}
	return fmt.Sprintf("state %s, members: %d", state, members)
}

// checkLag tells how far the group is behind in each partition.
func (r *run) checkLag(ctx context.Context) bool {
	c := &r.settings.Consumer
	var topics []string
	for _, w := range r.wants {
		if t := r.topics[w.topic]; w.setting == "topic" && t.Topic != nil && t.ErrorCode == 0 {
			topics = append(topics, w.topic)
		}
	}
	switch {
	case !c.Enabled():
		r.skip(StepLag, "the {link} reads no topic")
		return true
	case len(topics) == 0:
		r.skip(StepLag, "none of the {link}'s topics is there, or can be seen")
		return true
	case slices.ContainsFunc(r.result.Steps,
		func(f Finding) bool { return f.Step == StepGroup && f.Class == kafka.ClassGroupRights }):
		r.skip(StepLag, "the group may not be read")
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	var lags []Lag
	var err error
	if c.GroupProtocol == settings.GroupShare {
		lags, err = r.shareLag(ctx, topics)
	} else {
		lags, err = r.groupLag(ctx, topics)
	}
	if err != nil {
		r.add(r.failed(StepLag, "group "+c.Group, err))
		return true
	}
	if wanted := c.Partitions; len(wanted) > 0 {
		lags = slices.DeleteFunc(lags, func(l Lag) bool { return !slices.Contains(wanted, l.Partition) })
	}
	slices.SortFunc(lags, func(a, b Lag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	r.result.Lag = lags
	var findings []Finding
	for _, topic := range topics {
		findings = append(findings, r.judgeLag(topic, lags))
	}
	r.addMany(findings)
	return true
}

func (r *run) groupLag(ctx context.Context, topics []string) ([]Lag, error) {
	c := &r.settings.Consumer
	found, err := kafka.GroupLag(ctx, kadm.NewClient(r.client), c.Group, c.ReadCommitted, topics...)
	if err != nil {
		return nil, err
	}
	lags := make([]Lag, 0, len(found))
	for _, l := range found {
		lag := Lag{Topic: l.Topic, Partition: l.Partition, Start: l.Start, End: l.End}
		if l.Committed >= 0 {
			lag.Committed = &l.Committed
			if l.End >= 0 {
				behind := max(l.End-l.Committed, 0)
				lag.Behind = &behind
			}
		}
		lags = append(lags, lag)
	}
	return lags, nil
}

// shareLag asks the group, which keeps its place on the brokers.
func (r *run) shareLag(ctx context.Context, topics []string) ([]Lag, error) {
	group := r.settings.Consumer.Group
	described, err := kadm.NewClient(r.client).DescribeShareGroupOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	if err := described[group].Err; err != nil {
		return nil, err
	}
	var lags []Lag
	for topic, partitions := range described[group].Offsets {
		if !slices.Contains(topics, topic) {
			continue
		}
		for partition, at := range partitions {
			lag := Lag{Topic: topic, Partition: partition, Start: -1, End: -1}
			if at.Err == nil && at.StartOffset >= 0 {
				lag.Committed = &at.StartOffset
			}
			if at.Err == nil && at.Lag >= 0 {
				lag.Behind = &at.Lag
			}
			lags = append(lags, lag)
		}
	}
	return lags, nil
}

// judgeLag makes one line of the partitions of a topic.
func (r *run) judgeLag(topic string, lags []Lag) Finding {
	const shown = 12
	var parts, lost []string
	total, fresh, left := int64(0), 0, 0
	for _, l := range lags {
		if l.Topic != topic {
			continue
		}
		text := fmt.Sprintf("%d: no offset yet", l.Partition)
		switch {
		case l.Behind != nil:
			total += *l.Behind
			text = fmt.Sprintf("%d: %d", l.Partition, *l.Behind)
		case l.Committed != nil:
			text = fmt.Sprintf("%d: not known", l.Partition)
		default:
			fresh++
		}
		if l.Committed != nil && ((l.Start >= 0 && *l.Committed < l.Start) || (l.End >= 0 && *l.Committed > l.End)) {
			text := fmt.Sprintf("partition %d is at %d, and the log goes from %d to %d", l.Partition,
				*l.Committed, l.Start, l.End)
			if r.settings.Consumer.OnOutOfRange == settings.OutOfRangeEarliest && l.End >= 0 && *l.Committed > l.End {
				text += ", all of which is delivered (again)"
			}
			lost = append(lost, text)
		}
		if len(parts) == shown {
			left++
			continue
		}
		parts = append(parts, text)
	}
	allFresh := fresh == len(parts)+left
	if left > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", left))
	}
	target := "topic " + topic
	text := fmt.Sprintf("lag %d (by partition: %s)", total, strings.Join(parts, ", "))
	if allFresh {
		text = "the group has no offset yet in any partition"
	}
	if fresh > 0 && r.settings.Consumer.GroupProtocol != settings.GroupShare {
		text += "; where there is no offset yet, start=" + startText(r.settings.Consumer.Start) + " decides"
	}
	if len(lost) > 0 {
		return Finding{StepLag, target, Warn, "",
			text + fmt.Sprintf("; %s: on_offset_out_of_range=%s decides", strings.Join(lost, ", "),
				r.settings.Consumer.OnOutOfRange)}
	}
	return Finding{StepLag, target, OK, "", text}
}

func startText(s settings.Start) string {
	switch s.Kind {
	case settings.StartEarliest:
		return "earliest"
	case settings.StartTime:
		return s.Time.Format("2006-01-02T15:04:05Z07:00")
	case settings.StartBack:
		return s.Back.String()
	default:
		return "latest"
	}
}
