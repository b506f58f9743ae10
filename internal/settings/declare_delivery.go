package settings

import "time"

func deliverySection() section {
	return section{
		title: "Delivery to the component",
		settings: append(filterSettings(), []setting{
			{
				name: "order",
				def:  "key", example: "partition",
				doc: "Which records wait for each other: those of one key, those of one partition, or none. The records of a partition " +
					"that have no key count as those of one key. Retries keep the order.",
				value: word(func(d *draft) *Order { return &d.link.Delivery.Order },
					nil, OrderKey, OrderPartition, OrderNone),
			},
			{
				name: "max_in_flight", hints: []string{"concurrency", "max_concurrency", "max_inflight", "workers",
					"max_poll_records"},
				def: "64", defDoc: "`64`; `4` for components that take batches", example: "8",
				doc:   "Most calls of the component that run at once for this link.",
				value: number(1, 10_000, "calls", func(d *draft) *int { return &d.link.Delivery.MaxInFlight }),
			},
			{
				name: "batch_max_records", hints: []string{"batch_size", "max_batch_records"},
				def: "500", example: "100",
				doc:   "Most records in one call of a component that takes batches (`messaging-kafka:records`).",
				value: number(1, 100_000, "records", func(d *draft) *int { return &d.link.Delivery.Batch.MaxRecords }),
			},
			{
				name: "batch_max_bytes", hints: []string{"max_batch_bytes"},
				def: "4MiB", example: "512KiB",
				doc:   "Most bytes in one batch; a single record may be larger.",
				value: size("1KiB", "256MiB", func(d *draft) *int64 { return &d.link.Delivery.Batch.MaxBytes }),
			},
			{
				name: "batch_max_wait", hints: []string{"batch_linger", "batch_timeout"},
				def: "5ms", example: "50ms",
				doc:   "How long a record may wait for others to fill its batch while the component is busy with another one. Records go to an idle component at once.",
				value: duration("0s", "1m", func(d *draft) *time.Duration { return &d.link.Delivery.Batch.MaxWait }),
			},
			{
				name: "binary", hints: []string{"bytes", "binary_payloads", "encoding"},
				def: "bytes", example: "base64",
				doc:   "How a component that takes batches gets a key, value or header that is not UTF-8: `bytes` is the payload case `bytes(list<u8>)`, `base64` the case `base64(string)`. A wasmCloud host handles lists byte by byte and strings at once, so with `base64` binary records pass several times as fast ([performance.md](performance.md)).",
				value: word(func(d *draft) *Binary { return &d.link.Delivery.Batch.Binary }, nil, BinaryBytes, BinaryBase64),
			},
			{
				name: "transactions", hints: []string{"exactly_once", "transactional"},
				def: "false", example: "true",
				doc:   "Commits what a `processor` makes of records together with their offsets, in one Kafka transaction: exactly once, for readers with `isolation.level=read_committed`. `commit_interval` is then how often a transaction ends, by default `100ms`.",
				value: boolean(func(d *draft) *bool { return &d.link.Delivery.Transactions }),
			},
			{
				name: "max_buffer", hints: []string{"buffer", "buffer_size", "max_buffer_bytes"},
				def: "32MiB", example: "8MiB",
				doc:   "Most memory that records which wait for the component or are with it take: their bytes, and about 500 for each record and 60 for each header. Reading pauses there. Records that are fetched and do not wait yet may take as much again. A compressed batch may be as large as this (or as two of `max_message_bytes`) when it is decompressed; before a larger one its partition stands.",
				value: size("64KiB", "16GiB", func(d *draft) *int64 { return &d.link.Delivery.MaxBuffer }),
			},
			{
				name: "handle_timeout", hints: []string{"timeout", "handler_timeout", "call_timeout"},
				def: "60s", example: "5m",
				doc:   "Longest wait for one call of the component. A call that takes longer counts as failed.",
				value: duration("10ms", "24h", func(d *draft) *time.Duration { return &d.link.Delivery.HandleTimeout }),
			},
			{
				name: "retry_backoff", hints: []string{"backoff", "retry_delay"},
				def: "100ms", example: "1s",
				doc:   "Wait before the second delivery of a record that failed; it doubles with each further one.",
				value: duration("1ms", "1h", func(d *draft) *time.Duration { return &d.link.Delivery.RetryBackoff }),
			},
			{
				name: "retry_backoff_max", hints: []string{"max_retry_backoff"},
				def: "30s", defDoc: "`30s`, or `retry_backoff` where that is longer", example: "5m",
				doc:   "Longest wait between deliveries of one record.",
				value: duration("1ms", "24h", func(d *draft) *time.Duration { return &d.link.Delivery.RetryBackoffMax }),
			},
			{
				name: keyMaxAttempts, hints: []string{"attempts", "retries", "max_retries", "max_deliver"},
				def: "0", defDoc: "`0`; with `dead_letter_topic` `5`, and with `retry_topics` besides one more than those", example: "10",
				doc:   "Deliveries of a failing record, the first included and those from retry topics too, before it goes to `dead_letter_topic` or, without one, is treated as a rejected record (`on_reject`). `0` is without end. Calls that reached no component do not count.",
				value: number(0, 1_000_000, "deliveries", func(d *draft) *int { return &d.link.Delivery.MaxAttempts }),
			},
			{
				name: keyRetryTopics, hints: []string{"retry_topic", "retry_tiers", "retry_delays", "delayed_retries"},
				example: "5s,1m,10m",
				doc: "Delays of retry topics, each longer than the one before. A record that failed is moved to the first of them, where it " +
					"waits while its key's next records go on; it comes back from there after the delay, and goes to the next one when it fails again. " +
					"A key's order is lost with that ([delivery.md](delivery.md#retry-topics)). Not with `group_protocol=share`.",
				value: into("list of durations, 100ms to 7d, or `none`", parseRetryDelays, func(d *draft) *[]time.Duration { return &d.retryDelays }),
			},
			{
				name: keyRetryPrefix, hints: []string{"retry_topics_prefix", "retry_prefix"},
				scope:  scopeLink,
				defDoc: "`<consumer_group>-retry-`", example: "orders-mailer.retry.",
				doc:   "What the names of the retry topics begin with; the delay follows, as `500ms`, `5s`, `1m`, `1h30m` or `168h`, however it is written in `retry_topics`. Only the link's own group may use them.",
				value: text(func(d *draft) *string { return &d.retryPrefix }),
			},
			{
				name: keyDeadLetter, hints: []string{"dlq", "dlt", "dead_letter", "dlq_topic", "dlt_topic", "dead_letter_queue",
					"deadletter_topic"},
				example: "orders.dead",
				doc:     "Where records go that were rejected or failed too often.",
				value:   optionalText(parseTopicName, func(d *draft) *string { return &d.link.Delivery.DeadLetterTopic }),
			},
			{
				name: "on_reject",
				def:  "skip", example: "stop",
				doc:   "What happens to a rejected record where no `dead_letter_topic` is set: `skip` logs its position and counts it, `stop` holds its partition.",
				value: word(func(d *draft) *OnReject { return &d.link.Delivery.OnReject }, nil, RejectSkip, RejectStop),
			},
			{
				name: "drain_timeout", hints: []string{"shutdown_timeout", "stop_timeout"},
				def: "250ms", defDoc: "`250ms`; on a route of a bridge `5s`", example: "3s",
				doc:   "How long running calls may go on at a stop before they are given up, to be delivered again. When the host stops the provider, `provider_shutdown_timeout` is the limit.",
				value: duration("0s", "10m", func(d *draft) *time.Duration { return &d.link.Delivery.DrainTimeout }),
			},
			{
				name: keyReplyTopic, hints: []string{"reply_to", "reply"},
				def: "{topic}.reply", defDoc: "`{topic}.reply`; on routes with `deliver=nats-reply` none", example: "answers",
				doc:   "Topic that the component is told to reply to. `{topic}` stands for the topic of the record.",
				value: optionalText(parseReplyTopic, func(d *draft) *string { return &d.link.Delivery.ReplyTopic }),
			},
			{
				name: "log_payloads",
				def:  "false", example: "true",
				doc:   "Writes the key and value of each record that the component gets or publishes to the log, at level debug, cut at 1 KiB; headers never. For development: the log then holds what the records hold.",
				value: boolean(func(d *draft) *bool { return &d.link.LogPayloads }),
			},
		}...),
	}
}

// Names of settings that the rules about delivery speak of.
const (
	keyMaxAttempts = "max_attempts"
	keyRetryTopics = "retry_topics"
	keyRetryPrefix = "retry_topic_prefix"
	keyDeadLetter  = "dead_letter_topic"
	keyReplyTopic  = "reply_topic"
	keyReplyTopics = "reply_topics_from_records"
)
