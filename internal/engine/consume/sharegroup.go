package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Configs of a share group on the broker (KIP-932). All members obey them.
const (
	configReset     = "share.auto.offset.reset"
	configIsolation = "share.isolation.level"
	// configLimit is only looked at. Brokers that have it for their groups tell it with the others.
	configLimit = "share.delivery.count.limit"
)

// kafkaConfigs are Kafka's own values.
var kafkaConfigs = map[string]string{configReset: "latest", configIsolation: "read_uncommitted"}

// shareConfigs are what the group's configs are to be: where it starts, and which records it gets.
func shareConfigs(c *settings.Consumer) map[string]string {
	want := map[string]string{configReset: "latest", configIsolation: "read_uncommitted"}
	switch c.Start.Kind {
	case settings.StartLatest:
	case settings.StartEarliest:
		want[configReset] = "earliest"
	case settings.StartTime:
		want[configReset] = "by_duration:" + isoDuration(time.Since(c.Start.Time))
	case settings.StartBack:
		want[configReset] = "by_duration:" + isoDuration(c.Start.Back)
	}
	if c.ReadCommitted {
		want[configIsolation] = "read_committed"
	}
	return want
}

func isoDuration(d time.Duration) string { return fmt.Sprintf("PT%dS", max(1, int64(d.Seconds()))) }

// configure sets those of the group's configs that are not as the link asks. Where they may not be described, those
// that are asked to be what Kafka has by itself are left alone, so that no right is needed for them.
func (s *shareSession) configure(ctx context.Context, cl *kgo.Client) []problem {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	group := s.cfg.Settings.Consumer.Group
	has, err := describeGroup(ctx, cl, group)
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		s.log.Debug("the configs of the share group may not be described: they are taken for Kafka's own", "error", err)
		has, err = kafkaConfigs, nil
	}
	if err != nil {
		return []problem{{status.ProblemGroup, "asking for the configs of group " + group + ": ", err}}
	}
	// A limit that is no number or is not told is unknown, and MaxAttempts alone counts.
	s.limit, _ = strconv.Atoi(has[configLimit])
	var found []problem
	for name, value := range shareConfigs(&s.cfg.Settings.Consumer) {
		if has[name] == value {
			continue
		}
		err := alterGroup(ctx, cl, group, name, value)
		if errors.Is(err, kerr.GroupAuthorizationFailed) {
			err = fmt.Errorf("the ACL AlterConfigs on the group is missing: grant it, or set the config by "+
				"kafka-configs.sh --entity-type groups --entity-name %s and grant DescribeConfigs", group)
		}
		if err != nil {
			found = append(found, problem{status.ProblemGroup, fmt.Sprintf("setting %s=%s of group %s: ", name, value, group), err})
			continue
		}
		s.log.Info("a config of the share group was set", "consumer_group", group, "config", name, "value", value, "old_value", has[name])
	}
	return found
}

// describeGroup asks for the configs of a group.
func describeGroup(ctx context.Context, cl *kgo.Client, group string) (map[string]string, error) {
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	has := make(map[string]string)
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, err
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				has[c.Name] = *c.Value
			}
		}
	}
	return has, nil
}

// alterGroup sets one config of a group (KIP-932 uses the resource type GROUP of KIP-848).
func alterGroup(ctx context.Context, cl *kgo.Client, group, name, value string) error {
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value, config.Op = name, &value, kmsg.IncrementalAlterConfigOpSet
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

// errOtherKind is that a group's id is taken by a group of another kind.
var errOtherKind = errors.New("is no share group: set consumer_group to an id of its own, or group_protocol to the kind of the group; " +
	"a group that nobody uses any more can be deleted with kafka-consumer-groups.sh")

// otherKind returns an error where the group's id is that of a group of another kind, of which one committed offset is
// enough. The client hears that with each heartbeat, tells nobody, and asks again at once.
func (s *shareSession) otherKind(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	group := s.cfg.Settings.Consumer.Group
	kind, err := kafka.KindOfGroup(ctx, cl, group)
	if err != nil || kind == kafka.KindShare || kind == kafka.KindNone {
		return nil // what cannot be known is no reason not to try
	}
	return fmt.Errorf("group %s exists as a group of the kind %s and %w", group, kind, errOtherKind)
}

// watchGroup ends the session when the group's id comes to be that of another group.
func (s *shareSession) watchGroup(ctx context.Context) {
	for backoff.Sleep(ctx, checkEvery) {
		if err := s.otherKind(ctx, s.cl); err != nil {
			select {
			case s.crowded <- err:
			default:
			}
			return
		}
	}
}

// groupPosition is where the group was in a partition when it was last looked at.
type groupPosition struct {
	at      int64   // all records before this one are decided
	decided []int64 // by this copy since
}

// maxDecided bounds the offsets that are remembered of a partition between two looks.
const maxDecided = 1 << 16

// watchLost tells of records that went from the log before the group was done with them. Members do not hear of that:
// the broker goes on where the log begins.
func (s *shareSession) watchLost(ctx context.Context) {
	for backoff.Sleep(ctx, lostEvery) {
		s.lookForLost(ctx, s.cl, s.cl.GetConsumeTopics())
	}
}

// lostEvery is how often the places of a share group are compared with the starts of its partitions.
const lostEvery = time.Second

// lookForLost looks once. Where the group is cannot always be told, as while its coordinator moves: the next look finds
// what this one has missed.
func (s *shareSession) lookForLost(ctx context.Context, cl *kgo.Client, topics []string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := s.comparePositions(ctx, kadm.NewClient(cl), topics); err != nil && ctx.Err() == nil {
		s.log.Debug("where the share group is could not be found out", "error", err)
	}
}

func (s *shareSession) comparePositions(ctx context.Context, adm *kadm.Client, topics []string) error {
	group := s.cfg.Settings.Consumer.Group
	if len(topics) == 0 { // of a pattern, before the client has found them
		known, err := adm.DescribeShareGroupOffsets(ctx, group)
		if err != nil || len(known[group].Offsets) == 0 {
			return err
		}
		topics = slices.Collect(maps.Keys(known[group].Offsets))
	}
	// In this order: what is decided in between is no loss.
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	described, err := adm.DescribeShareGroupOffsets(ctx, group)
	if err != nil {
		return err
	}
	offsets := described[group].Offsets
	starts.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			return
		}
		at, done := int64(-1), int64(0)
		if found, ok := offsets[o.Topic][o.Partition]; ok && found.Err == nil {
			at = found.StartOffset
			// The position that the broker has stored can be behind records that are decided; its lag is without them.
			if end, ok := ends.Lookup(o.Topic, o.Partition); ok && end.Err == nil && at >= 0 && found.Lag >= 0 {
				done = max(0, end.Offset-at-found.Lag)
			}
		}
		s.compare(topicPartition{o.Topic, o.Partition}, at, done, o.Offset)
	})
	return nil
}

// compare takes note of where the group is in a partition, -1 where the broker does not know it yet, of how many
// records from there on are decided, and of where the log begins.
func (s *shareSession) compare(tp topicPartition, at, done, start int64) {
	s.mu.Lock()
	before := s.positions[tp]
	first := before == nil
	if first {
		before = &groupPosition{at: at}
		if at < 0 && s.cfg.Settings.Consumer.Start.Kind == settings.StartEarliest {
			before.at = start
		}
		s.positions[tp] = before
	}
	lost := int64(0)
	if before.at >= 0 && start > before.at {
		lost = start - before.at
		if first {
			lost -= done
		}
		for _, offset := range before.decided {
			if offset >= before.at && offset < start {
				lost--
			}
		}
		for _, offset := range s.acquired[tp] {
			if offset >= before.at && offset < start {
				lost--
			}
		}
	}
	from := before.at
	if at >= 0 || (before.at >= 0 && start > before.at) {
		before.at = max(at, start)
	}
	before.decided = before.decided[:0]
	s.mu.Unlock()
	if lost <= 0 {
		return
	}
	s.log.Warn("records were gone from the log before the share group was done with them", "topic", tp.topic, "partition", tp.partition,
		"group_offset", from, "log_start", start, "records_lost", lost)
	s.cfg.Observer.Missed(lost)
}

// hold and settle keep account of the records that this copy has.
func (s *shareSession) hold(r topicPartition, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acquired[r] = append(s.acquired[r], offset)
}

func (s *shareSession) settle(tp topicPartition, offset int64, ack kgo.AckStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.acquired[tp]
	for i, other := range held {
		if other == offset {
			held[i] = held[len(held)-1]
			s.acquired[tp] = held[:len(held)-1]
			break
		}
	}
	if ack == kgo.AckRelease {
		return
	}
	p := s.positions[tp]
	if p == nil {
		p = &groupPosition{at: -1}
		s.positions[tp] = p
	}
	if len(p.decided) < maxDecided {
		p.decided = append(p.decided, offset)
	}
}
