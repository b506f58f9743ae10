package settings

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/reply"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func publishSection() section {
	return section{
		title: "Publishing",
		settings: []setting{
			{
				name: "allowed_topics", hints: []string{"allow_topics", "publish_topics", "topic_allowlist"},
				defDoc: "all", example: "orders.*,audit",
				doc: "Topics that the component may publish to; `*` stands for any characters, `?` for one. Everything else is refused.",
				value: into("list of topics with `*` and `?`", parseTopicGlobs,
					func(d *draft) *[]string { return &d.link.Producer.AllowedTopics }),
			},
			{
				name: keyReplyTopics, hints: []string{"reply_topics", "allowed_reply_topics", "trusted_reply_topics"},
				defDoc: "what `allowed_topics` has; without it none", example: "orders.answers,*.replies",
				doc: "Topics that a record may name for its answer (`kafka_replyTopic`), besides the link's own `reply_topic`; `*` stands for any characters, `?` for one, and `none` for none. A record that names another one is delivered as if it named none. `allowed_topics` holds as well, and such topics are never created.",
				value: into("list of topics with `*` and `?`, or `none`", parseReplyTopicGlobs,
					func(d *draft) *[]string { return &d.link.Producer.ReplyTopicsFromRecords }),
			},
			{
				name: "producer_partitions", hints: []string{"producer_partition", "publish_partitions"}, scope: scopeLink,
				defDoc: "all", example: "0,1",
				doc:   "Publishes only to these partitions, by key where a record has one.",
				value: into("list of partitions", parsePartitions, func(d *draft) *[]int32 { return &d.link.Producer.Partitions }),
			},
			{
				name: "producer_fanout",
				def:  "spread", example: "copy",
				doc:   "What several `producer_partitions` are for: `spread` puts each record into one of them, `copy` puts a copy into each.",
				value: word(func(d *draft) *Fanout { return &d.link.Producer.Fanout }, nil, FanoutSpread, FanoutCopy),
			},
			{
				name: "acks", kafka: "acks", hints: []string{"required_acks"},
				def: "all", example: "1",
				doc: "What a publish waits for: all in-sync replicas, the leader (`1`), or nothing (`0`, which may lose records unseen).",
				value: word(func(d *draft) *Acks { return &d.link.Producer.Client.Acks },
					map[string]Acks{"leader": AcksLeader, "none": AcksNone}, AcksAll, AcksLeader, AcksNone),
			},
			{
				name: keyIdempotent, kafka: "enable.idempotence", hints: []string{"idempotence"},
				def: "true", defDoc: "`true`; `false` where `acks` is not `all`", example: "false",
				doc:   "Keeps a resent record from being stored twice. Where the brokers cannot do it, publishes fail and say so. Old clusters ask for the right `IdempotentWrite` on the cluster for it.",
				value: boolean(func(d *draft) *bool { return &d.link.Producer.Client.Idempotent }),
			},
			{
				name: "compression", kafka: "compression.type", hints: []string{"compression_codec"},
				def: "none", example: "zstd",
				doc: "How batches are compressed. All kinds are read, whatever this says.",
				value: word(func(d *draft) *Compression { return &d.link.Producer.Client.Compression },
					nil, CompressionNone, CompressionGzip, CompressionSnappy, CompressionLZ4, CompressionZstd),
			},
			{
				name: "linger", kafka: "linger.ms",
				def: "0s", example: "5ms",
				doc:   "How long a record waits for others to share a request with. Each publish takes that much longer.",
				value: duration("0s", "1m", func(d *draft) *time.Duration { return &d.link.Producer.Client.Linger }),
			},
			{
				name: "max_message_bytes", kafka: "max.request.size", hints: []string{"max_message_size", "message_max_bytes"},
				def: "1MiB", example: "5MiB",
				doc:   "Largest record that may be published. Brokers and topics have their own limit (`max.message.bytes`).",
				value: size("1KiB", "512MiB", func(d *draft) *int32 { return &d.link.Producer.Client.MaxMessageBytes }),
			},
			{
				name: "partitioner", hints: []string{"partitioner_class"},
				def: "murmur2", example: "round_robin",
				doc: "How a record gets its partition: `murmur2` by key as Kafka's Java client does, and batch by batch without a key; `sticky` batch by batch; `round_robin` record by record.",
				value: word(func(d *draft) *Partitioner { return &d.link.Producer.Client.Partitioner },
					nil, PartitionerMurmur2, PartitionerSticky, PartitionerRoundRobin),
			},
			{
				name: "publish_timeout", kafka: "delivery.timeout.ms", hints: []string{"produce_timeout", "producer_timeout"},
				def: "30s", example: "5s",
				doc:   "Longest wait for one publish, retries included.",
				value: duration("1s", "1h", func(d *draft) *time.Duration { return &d.link.Producer.Client.PublishTimeout }),
			},
		},
	}
}

func requestSection() section {
	return section{
		title: "Requests over Kafka",
		intro: "These settings say how a component's `request` gets its answer.",
		settings: []setting{
			{
				name: keyRequestTopic, hints: []string{"request_topic", "response_topic"},
				defDoc: "none: requests are refused", example: "orders.answers",
				doc:   "Topic in which answers to requests are read.",
				value: optionalText(parseTopicName, func(d *draft) *string { return &d.link.Request.ReplyTopic }),
			},
			{
				name: keyRequestPartition,
				def:  "any", example: "3",
				doc: "Partition in which answers are asked for. `any` leaves the choice to the one who answers, and reads all.",
				value: into("number or `any`", parseReplyPartition,
					func(d *draft) *int32 { return &d.link.Request.ReplyPartition }),
			},
		},
	}
}

func topicSection() section {
	return section{
		title: "Creating topics",
		settings: []setting{
			{
				name: keyCreate, hints: []string{"create_topic", "allow_auto_create_topics", "auto_create_topics"},
				def: "false", example: "true",
				doc:   "Creates topics that are missing, those read and those published to.",
				value: boolean(func(d *draft) *bool { return &d.link.Create.Enabled }),
			},
			{
				name: "create_topics_partitions", hints: []string{"num_partitions"},
				def: "-1", example: "12",
				doc: "Partitions of a created topic; `-1` is the broker's default.",
				value: nonZero(number(-1, maxPartition+1, "partitions",
					func(d *draft) *int32 { return &d.link.Create.Partitions })),
			},
			{
				name: "create_topics_replication", hints: []string{"default_replication_factor", "replication_factor"},
				def: "-1", example: "3",
				doc:   "Replicas of a created topic; `-1` is the broker's default.",
				value: nonZero(number(-1, 1000, "replicas", func(d *draft) *int16 { return &d.link.Create.Replication })),
			},
		},
	}
}

func providerSection() section {
	return section{
		title: "The provider itself",
		intro: "These settings stand in the provider's own config only.",
		settings: []setting{
			{
				name: "provider_max_in_flight", hints: []string{"max_in_flight_total", "total_max_in_flight"}, scope: scopeProvider,
				def: "1024", example: "256",
				doc:   "Most calls of components that run at once for all links together.",
				value: number(1, 1_000_000, "calls", func(d *draft) *int { return &d.provider.MaxInFlight }),
			},
			{
				name: "provider_max_memory", hints: []string{"max_memory", "memory_limit", "gomemlimit"}, scope: scopeProvider,
				defDoc: "half of the limit of the process's control group, or of the machine's memory", example: "512MiB",
				doc:   "Memory that the process may take, as resident size. Half of it is for what comes from others: records of all links, calls of components, changes of links; they share it so that each can always have its part ([delivery.md](delivery.md#memory)). Go is told to collect garbage before it takes more than nine tenths, or all but 64 MiB.",
				value: size("64MiB", "16384GiB", func(d *draft) *int64 { return &d.provider.MaxMemory }),
			},
			{
				name: "provider_shutdown_timeout", scope: scopeProvider,
				def: "250ms", example: "4s",
				doc:   "How long the provider may take to end when the host stops it: running calls, the last commit and leaving the groups are fitted into it. Keep it below the host's `--provider-shutdown-delay-ms` (300ms by default), after which the host kills the provider.",
				value: duration("50ms", "10m", func(d *draft) *time.Duration { return &d.provider.ShutdownTimeout }),
			},
			{
				name: keyAllowedHosts, hints: []string{"kafka_hosts", "allowed_brokers"}, scope: scopeProvider,
				defDoc: "any", example: "*.kafka.example.com:9094,login.example.com",
				doc: "Hosts that links may name in `hosts`, `oauth_token_endpoint` and `schema_registry`, with or without a port; `*` stands for any characters, `?` for one. A link that names another one is refused. In any case credentials of this config go to the `hosts` of this config only.",
				value: into("list of hosts with `*` and `?`", parseHostPatterns,
					func(d *draft) *[]string { return &d.provider.AllowedHosts }),
			},
			{
				name: keyAllowedFolders, hints: []string{"allowed_folders", "allowed_paths", "file_folders"}, scope: scopeProvider,
				defDoc: "any", example: "/var/run/kafka,/etc/kafka/tls",
				doc:   "Folders that the files of `tls_ca_file`, `tls_cert_file`, `tls_key_file` and `schema_registry_ca_file` must be in, at any depth; a symbolic link that leads out of its folder is not followed. A link that names another file is refused.",
				value: into("list of absolute paths", parseFolders, func(d *draft) *[]string { return &d.provider.AllowedFolders }),
			},
			{
				name: "provider_inbox_prefixes", hints: []string{"inbox_prefix", "custom_inbox_prefix", "inbox_prefixes"},
				scope:  scopeProvider,
				defDoc: "`_INBOX` alone", example: "_INBOX_team",
				doc: "Further beginnings of the reply subjects that the provider answers, for peers whose NATS clients have inboxes of their own: hosts, and whoever asks for health and status. Questions and calls that name any other reply subject are not answered.",
				value: into("list of subject prefixes", parseInboxPrefixes,
					func(d *draft) *[]string { return &d.provider.InboxPrefixes }),
			},
			{
				name: "admin_address", hints: []string{"metrics_address", "metrics_port", "admin_port", "admin"},
				scope:   scopeProvider,
				example: "127.0.0.1:9464",
				doc:     "Address on which the page with the state of all links, metrics and health are served over HTTP: `/`, `/metrics`, `/healthz`, `/readyz`, `/links`, `/history`. With a port alone (`9464`) it is the loopback's; for others to reach it, name an address, such as `0.0.0.0:9464`. Without it nothing is served.",
				value:   into("host:port", parseListenAddress, func(d *draft) *string { return &d.provider.AdminAddress }),
			},
			{
				name: "admin_hosts", hints: []string{"admin_host", "admin_names", "allowed_hosts"}, scope: scopeProvider,
				defDoc: "none", example: "kafka-provider.shop.svc,metrics.example.com",
				doc:   "Names under which `admin_address` is asked. Requests by an address, for `localhost` and for the name in `admin_address` are answered anyway, all others refused, so that no page elsewhere can read through an operator's browser.",
				value: into("list of host names", parseHostNames, func(d *draft) *[]string { return &d.provider.AdminHosts }),
			},
			{
				name:  keyControlTokens,
				hints: []string{"control_token", "control_tokens", "admin_token", "admin_tokens", "admin_password"},
				scope: scopeProvider, sensitive: true,
				defDoc: "none: nobody may",
				doc:    "Operators who may pause, resume and restart links and set their offsets, by `POST /control` of `admin_address`, `messaging-kafka ctl --address` and the page: names, each with a colon and the token that he shows as `Authorization: Bearer`, 16 characters at least. The log has who did what by the name. A name may be there twice, while its token is exchanged.",
				value: into("list of name:token", parseControlTokens,
					func(d *draft) *[]ControlToken { return &d.provider.ControlTokens }),
			},
			{
				name:  "provider_control_lattice",
				hints: []string{"control_lattice", "lattice_control", "provider_control"}, scope: scopeProvider,
				def: "false", example: "true",
				doc:   "Whether links may be acted on over the lattice (`messaging-kafka ctl --nats`), by everyone who may publish to `wasmbus.rpc.<lattice>.<provider>.control`: NATS does not tell who that is ([security.md](security.md#acting-on-links)).",
				value: boolean(func(d *draft) *bool { return &d.provider.ControlLattice }),
			},
			{
				name:  "provider_control_payloads",
				hints: []string{"control_payloads", "page_payloads", "show_payloads"}, scope: scopeProvider,
				def: "false", example: "true",
				doc:   "Whether operators with a token of `provider_control_tokens` see keys, values and the values of headers where the page shows them records of a link's topics. Without it they see positions, times, sizes and the names of headers.",
				value: boolean(func(d *draft) *bool { return &d.provider.ControlPayloads }),
			},
			{
				name: "provider_pauses_file", hints: []string{"pauses_file", "state_file", "pause_file"}, scope: scopeProvider,
				defDoc: "none: a restart ends every pause", example: "/var/lib/messaging-kafka/pauses.json",
				doc:   "File in which this copy keeps the pauses that are to outlast a restart (`ctl pause --keep`). It is the copy's own: each needs one, on a volume that outlasts it. One that cannot be read is a problem of the provider, and links are not paused by it.",
				value: into("absolute path", parseAbsolute, func(d *draft) *string { return &d.provider.PausesFile }),
			},
		},
	}
}

// Names of settings that the rules about publishing speak of.
const (
	keyIdempotent       = "idempotent"
	keyRequestTopic     = "request_reply_topic"
	keyRequestPartition = "request_reply_partition"
	keyCreate           = "create_topics"
	keyAllowedHosts     = "provider_allowed_hosts"
	keyAllowedFolders   = "provider_allowed_folders"
	keyControlTokens    = "provider_control_tokens"
)

// nonZero refuses 0 where -1 stands for a default.
func nonZero(v value) value {
	set := v.set
	v.set = func(d *draft, text string) error {
		if n, err := parseNumber(text, 0, 0); err == nil && n == 0 {
			return refuse(text, "is out of bounds: write -1 for the broker's default, or a number from 1")
		}
		return set(d, text)
	}
	return v
}

func parseHostNames(text string) ([]string, error) {
	names := list(text)
	for _, name := range names {
		if !isHostName(name) {
			return nil, refuse(name, "is not the name of a host: write it without a port, such as kafka-provider.shop.svc")
		}
	}
	return names, nil
}

func parseInboxPrefixes(text string) ([]string, error) {
	prefixes := list(text)
	for _, p := range prefixes {
		if err := reply.CheckPrefix(p); err != nil {
			return nil, refuse(p, "cannot be a beginning of inboxes: write tokens with dots between them, without wildcards, that are neither NATS's own ($…) nor the lattice's (wasmbus)")
		}
	}
	return prefixes, nil
}

func parseReplyPartition(text string) (int32, error) {
	if canonical(text) == "any" {
		return record.AnyPartition, nil
	}
	return parsePartition(text, text)
}
