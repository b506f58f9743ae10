package settings

import (
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func consumeSection() section {
	return section{
		title: "Reading topics",
		intro: "A link without `topic` only publishes.",
		settings: []setting{
			{
				name: "topic", hints: []string{"topics", "subscriptions", "subscription"}, scope: scopeLink,
				example: "orders,bills\n" + `/orders\..*/`,
				doc:     "Topics to read, or a regular expression (RE2) between slashes that must match the whole name of a topic. No pattern matches the topics that Kafka keeps for itself, as `__consumer_offsets`. There is no default topic.",
				value:   into("list of topics or /pattern/", parseTopics, func(d *draft) *topicChoice { return &d.topic }),
			},
			{
				name: "consumer_group", kafka: "group.id", hints: []string{"group", "consumer_group_id", "groupid"},
				scope:  scopeLink,
				defDoc: "`wasmcloud.<lattice>.<component>.<link name>`; on a route `<name of the bridge>.<name of the route>`", example: "orders-mailer",
				doc:   "Group that shares the topics. The default makes all copies of the provider share the work of one link.",
				value: text(func(d *draft) *string { return &d.link.Consumer.Group }),
			},
			{
				name: "consumer_partitions", hints: []string{"partitions", "partition"}, scope: scopeLink,
				defDoc: "all", example: "0,2,4-7",
				doc:   "Reads only these partitions of each topic. The copies of the provider share them. Only with `group_protocol=classic`.",
				value: into("list of partitions", parsePartitions, func(d *draft) *[]int32 { return &d.link.Consumer.Partitions }),
			},
			{
				name: "start", kafka: "auto.offset.reset", hints: []string{"offset_reset", "start_offset", "offset", "from"},
				def: "latest", example: "earliest\n24h\n2026-01-31T08:00:00Z",
				doc: "Where a group begins in a partition of which it has committed no offset: at the end, at the beginning, so long ago, or at a time. The place is committed when the partition is first assigned, so that a restart skips nothing.",
				value: into("`latest`, `earliest`, duration or RFC 3339 time", parseStart,
					func(d *draft) *Start { return &d.link.Consumer.Start }),
			},
			{
				name: "on_offset_out_of_range", hints: []string{"out_of_range"},
				def: "earliest", example: "stop",
				doc: "Where to go on when the log no longer holds the group's offset. `stop` holds the partition until someone sets an offset. A warning says how many records were lost, or are delivered again where the offset is beyond the end of the log.",
				value: word(func(d *draft) *OutOfRange { return &d.link.Consumer.OnOutOfRange },
					nil, OutOfRangeEarliest, OutOfRangeLatest, OutOfRangeStop),
			},
			{
				name: "isolation", kafka: "isolation.level",
				def: "read_committed", example: "read_uncommitted",
				doc:   "Whether records of open and aborted transactions are kept back. With `group_protocol=share` that is a config of the group, `share.isolation.level`, which the link sets.",
				value: isolation(),
			},
			{
				name: "group_protocol", kafka: "group.protocol",
				def: "classic", example: "consumer",
				doc: "How the members of the group share partitions: `classic` with every Kafka, `consumer` (KIP-848) from Kafka 4.0, `share` (KIP-932, a queue without order) from Kafka 4.2.",
				value: word(func(d *draft) *GroupProtocol { return &d.link.Consumer.GroupProtocol },
					nil, GroupClassic, GroupConsumer, GroupShare),
			},
			{
				name: keyInstanceID, kafka: "group.instance.id", hints: []string{"instance_id"},
				example: "auto",
				doc:     "Makes the member a static one, which may restart without a rebalance. Every copy needs its own; `auto` makes one of host and link.",
				value:   optionalText(parseInstanceID, func(d *draft) *string { return &d.link.Consumer.InstanceID }),
			},
			{
				name: "session_timeout", kafka: "session.timeout.ms",
				def: "45s", defDoc: "`45s`, or `rebalance_timeout` where that is given and shorter", example: "10s",
				doc:   "How long the group waits for a sign of life of a member. Heartbeats do not depend on components. With `group_protocol=consumer` or `share` the broker decides.",
				value: duration("1s", "30m", func(d *draft) *time.Duration { return &d.link.Consumer.SessionTimeout }),
			},
			{
				name: "rebalance_timeout", kafka: "max.poll.interval.ms",
				def: "60s", defDoc: "`60s`, or `session_timeout` where that is given and longer", example: "2m",
				doc:   "How long members have to give up partitions in a rebalance. Calls of a component that last longer are given up, and their records delivered again.",
				value: duration("1s", "1h", func(d *draft) *time.Duration { return &d.link.Consumer.RebalanceTimeout }),
			},
			{
				name: "commit_interval", kafka: "auto.commit.interval.ms",
				def: "1s", example: "200ms",
				doc:   "How often offsets of finished records are committed. They are also committed when a partition moves and at a stop.",
				value: duration("10ms", "5m", func(d *draft) *time.Duration { return &d.link.Consumer.CommitInterval }),
			},
			{
				name: "fetch_max_bytes", kafka: "fetch.max.bytes", hints: []string{"max_fetch_bytes"},
				def: "8MiB", defDoc: "`8MiB`, or `max_buffer` where that is smaller", example: "1MiB",
				doc:   "Most that one answer of a broker holds. An eighth of `max_buffer`, shared among the brokers, is the limit in any case, and fetches become smaller where what they bring takes much memory.",
				value: size("1KiB", "1GiB", func(d *draft) *int32 { return &d.link.Consumer.FetchMaxBytes }),
			},
			{
				name: "fetch_max_wait", kafka: "fetch.max.wait.ms",
				def: "500ms", example: "100ms",
				doc:   "How long a broker may hold its answer back while there is nothing to read.",
				value: duration("10ms", "1m", func(d *draft) *time.Duration { return &d.link.Consumer.FetchMaxWait }),
			},
			{
				name: "rack", kafka: "client.rack", hints: []string{"zone", "availability_zone"},
				example: "eu-central-1a",
				doc:     "Reads from replicas in this rack, where the brokers allow it (KIP-392).",
				value:   into("text", limited(512), func(d *draft) *string { return &d.link.Consumer.Rack }),
			},
		},
	}
}

const keyInstanceID = "group_instance_id"

// instanceAuto asks for an instance id made of host and link.
const instanceAuto = "auto"

func parseInstanceID(text string) (string, error) {
	if strings.EqualFold(text, instanceAuto) {
		return instanceAuto, nil
	}
	// Brokers check instance ids as they check topic names (GroupConfig, JoinGroupRequest.validateGroupInstanceId).
	if !record.IsTopicName(text) {
		return "", refuse(text, "is not an instance id: auto, or 1 to 249 of the characters a-z A-Z 0-9 . _ - and neither . nor ..")
	}
	return text, nil
}

func isolation() value {
	const committed, uncommitted = "read_committed", "read_uncommitted"
	v := word(func(d *draft) *string { return &d.isolation }, nil, committed, uncommitted)
	set := v.set
	v.set = func(d *draft, text string) error {
		if err := set(d, text); err != nil {
			return err
		}
		d.link.Consumer.ReadCommitted = d.isolation == committed
		return nil
	}
	return v
}

func parseStart(text string) (Start, error) {
	switch canonical(text) {
	case "latest":
		return Start{Kind: StartLatest}, nil
	case "earliest":
		return Start{Kind: StartEarliest}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Start{Kind: StartTime, Time: at.UTC()}, nil
	}
	if back, err := parseDuration(text); err == nil && back > 0 {
		return Start{Kind: StartBack, Back: back}, nil
	}
	return Start{}, refuse(text,
		"is no place to start: write latest, earliest, a duration back from now (24h, 7d) or a time (2026-01-31T08:00:00Z)")
}
