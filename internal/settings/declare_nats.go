package settings

import "time"

// Names of settings that the rules about NATS speak of.
const (
	keyNATSURL            = "nats_url"
	keyNATSSubject        = "nats_subject"
	keyNATSStream         = "nats_stream"
	keyNATSAdvisoryStream = "nats_advisory_stream"
	keyNATSMaxWait        = "nats_max_wait"
	keyNATSPublishSubject = "nats_publish_subject"
	keyNATSPublishTopic   = "nats_publish_topic"
	keyNATSQueue          = "nats_queue"
	keyNATSCreds          = "nats_creds"
	keyNATSSeed           = "nats_nkey"
	keyNATSToken          = "nats_token"
	keyNATSUser           = "nats_user"
	keyNATSPassword       = "nats_password"
	keyNATSCAFile         = "nats_tls_ca_file"
	keyNATSCertFile       = "nats_tls_cert_file"
	keyNATSKeyFile        = "nats_tls_key_file"
)

func natsSection() section {
	return section{
		title: "Routes of a bridge: NATS",
		intro: "These settings stand on routes of `messaging-kafka bridge` only ([nats.md](nats.md)). A link of wasmCloud that has one is refused: it has the NATS of its lattice. Secrets can be given by files: `nats_creds_file: /run/secrets/user.creds`.",
		settings: []setting{
			{
				name: keyNATSURL, hints: []string{"nats_server", "nats_servers", "nats_urls", "nats_host"}, scope: scopeRoute,
				example: "nats://nats-0:4222,nats://nats-1:4222",
				doc:     "Servers of one NATS cluster. What stands before an `@` is refused: credentials have settings of their own. Routes with the same servers and credentials share a connection.",
				value:   into("list of URLs", parseNATSURLs, func(d *draft) *string { return &d.link.NATS.Server.URLs }),
			},
			{
				name: keyNATSSubject, hints: []string{"subject", "nats_subjects"}, scope: scopeRoute,
				def: NATSTopic, example: "shop.orders\nkafka.{topic}.{partition}.{offset}.{key}",
				doc:   "Subject that records go to. `{topic}` stands for the topic (a token of it that would be empty is `_`), `{partition}` and `{offset}` for the record's place, `{key}` for the key in base64url without padding, or `_` where there is none.",
				value: into("subject", parseNATSSubject, func(d *draft) *string { return &d.link.NATS.Subject }),
			},
			{
				name: keyNATSStream, hints: []string{"stream", "jetstream_stream"}, scope: scopeRoute,
				defDoc: "whichever has the subject", example: "ORDERS",
				doc:   "Stream that has to take the records of `deliver=jetstream`. Where another one does, they are held.",
				value: into("name of a stream", parseStreamName, func(d *draft) *string { return &d.link.NATS.Stream }),
			},
			{
				name: keyNATSAdvisoryStream, hints: []string{"nats_advisories", "advisory_stream", "nats_dead_letters"},
				scope:  scopeRoute,
				defDoc: "none: such messages stay in their stream, and nobody is told", example: "ORDERS_GIVEN_UP",
				doc:   "Stream that keeps what NATS says of messages that the consumers of `nats_stream` give up (the advisories of `max_deliver` and of `+TERM`). With it, `deliver=jetstream` stores each of them in `dead_letter_topic` ([nats.md](nats.md#what-a-consumer-gives-up)). Needs `nats_stream` and `dead_letter_topic`.",
				value: into("name of a stream", parseStreamName, func(d *draft) *string { return &d.link.NATS.AdvisoryStream }),
			},
			{
				name: keyNATSMaxWait, hints: []string{"nats_timeout", "nats_work_timeout"}, scope: scopeRoute,
				def: "5m", defDoc: "`5m`, or `handle_timeout` where that is longer", example: "30m",
				doc:   "Longest time of one request of `deliver=nats-reply` whose receiver asks for more time (`+WPI`), which begins `handle_timeout` anew each time.",
				value: duration("10ms", "24h", func(d *draft) *time.Duration { return &d.link.NATS.MaxWait }),
			},
			{
				name: keyNATSPublishSubject, hints: []string{"nats_publish_subjects", "nats_subscribe"}, scope: scopeRoute,
				defDoc: "none", example: "kafka.>",
				doc: "Subjects whose messages are published to Kafka, and answered with the position or an error where they are requests. What stands in place of the first wildcard and behind it is the topic; without a wildcard it is the subject.",
				value: into("list of subjects", parseNATSSubjects,
					func(d *draft) *[]string { return &d.link.NATS.PublishSubjects }),
			},
			{
				name: keyNATSPublishTopic, hints: []string{"nats_topic"}, scope: scopeRoute,
				defDoc: "what the subject says", example: "orders",
				doc:   "Topic that messages of `nats_publish_subject` go to, whatever their subjects are.",
				value: into("topic", parseTopicName, func(d *draft) *string { return &d.link.NATS.PublishTopic }),
			},
			{
				name: keyNATSQueue, hints: []string{"nats_queue_group", "queue_group"}, scope: scopeRoute,
				defDoc: "`<name of the bridge>.<name of the route>`", example: "kafka-bridge",
				doc:   "Queue group of the subscriptions, in which all copies of a bridge share messages.",
				value: into("name", parseNATSName, func(d *draft) *string { return &d.link.NATS.Queue }),
			},
			{
				name: keyNATSCreds, hints: []string{"nats_credentials", "nats_jwt"}, scope: scopeRoute, sensitive: true,
				doc:   "Content of a user's `.creds` file: JWT and seed.",
				value: into("text", parseNATSCreds, func(d *draft) *Secret { return &d.link.NATS.Server.Creds }),
			},
			{
				name: keyNATSSeed, hints: []string{"nats_nkey_seed", "nats_seed"}, scope: scopeRoute, sensitive: true,
				doc:   "Seed of a user's nkey.",
				value: into("text", parseNATSSeed, func(d *draft) *Secret { return &d.link.NATS.Server.Seed }),
			},
			{
				name: keyNATSToken, hints: []string{"nats_auth_token"}, scope: scopeRoute, sensitive: true,
				doc:   "Token of the server.",
				value: secretText(func(d *draft) *Secret { return &d.link.NATS.Server.Token }),
			},
			{
				name: keyNATSUser, hints: []string{"nats_username"}, scope: scopeRoute,
				example: "bridge",
				doc:     "User at the server. Needs `nats_password`.",
				value:   text(func(d *draft) *string { return &d.link.NATS.Server.User }),
			},
			{
				name: keyNATSPassword, hints: []string{"nats_pass"}, scope: scopeRoute, sensitive: true,
				doc:   "Password of `nats_user`.",
				value: secretText(func(d *draft) *Secret { return &d.link.NATS.Server.Password }),
			},
			{
				name: keyNATSCAFile, hints: []string{"nats_ca_file", "nats_tls_ca"}, scope: scopeRoute,
				defDoc: "the system's", example: "/etc/nats/ca.pem",
				doc:   "File with the certificates of the authorities that may have signed the servers'. With it, TLS is asked of every server; without it, a server that demands TLS, and `tls://`, have it.",
				value: text(func(d *draft) *string { return &d.link.NATS.Server.TLSCAFile }),
			},
			{
				name: keyNATSCertFile, hints: []string{"nats_tls_cert", "nats_cert_file"}, scope: scopeRoute,
				example: "/etc/nats/client.pem",
				doc:     "File with a client certificate. Needs `nats_tls_key_file`.",
				value:   text(func(d *draft) *string { return &d.link.NATS.Server.TLSCertFile }),
			},
			{
				name: keyNATSKeyFile, hints: []string{"nats_tls_key", "nats_key_file"}, scope: scopeRoute,
				example: "/etc/nats/client.key",
				doc:     "File with the key of the client certificate.",
				value:   text(func(d *draft) *string { return &d.link.NATS.Server.TLSKeyFile }),
			},
		},
	}
}
