package settings

import "time"

func connectionSection() section {
	return section{
		title: "Connection",
		settings: []setting{
			{
				name: keyHosts, kafka: "bootstrap.servers", hints: []string{"host", "brokers", "bootstrap", "seed_brokers", "urls",
					"cluster_uris"},
				def: "127.0.0.1:9092", example: "kafka-0:9092,kafka-1:9092,[2001:db8::1]:9092",
				doc:   "Brokers to connect to first; the cluster names the others. A missing port is 9092.",
				value: into("list of host:port", parseHosts, func(d *draft) *[]string { return &d.link.Cluster.Hosts }),
			},
			{
				name: keyProperties, hints: []string{"properties", "client_properties", "java_properties",
					"librdkafka_properties"}, sensitive: true,
				doc:   "A whole properties file of Kafka's Java clients or of librdkafka, in which each name means the setting here that is the same thing; `sasl.jaas.config` is taken apart. What is given by itself beats it, and Kafka's names may be given by themselves, too.",
				value: value{kind: "properties file", set: func(*draft, string) error { return nil }, clear: func(*draft) {}},
			},
			{
				name: "client_id", kafka: "client.id",
				def: "messaging-kafka", example: "orders",
				doc:   "Name by which brokers know the connections, in their logs and quotas.",
				value: into("text", limited(256), func(d *draft) *string { return &d.link.Cluster.ClientID }),
			},
			{
				name: "metadata_max_age", kafka: "metadata.max.age.ms",
				def: "1m", example: "10s",
				doc:   "How long to go without asking the cluster for its topics and partitions. New topics that match a pattern, and new partitions, are found after that long at the latest.",
				value: duration("1s", "1h", func(d *draft) *time.Duration { return &d.link.Cluster.MetadataMaxAge }),
			},
			{
				name: "dial_timeout", kafka: "socket.connection.setup.timeout.ms", hints: []string{"connect_timeout",
					"connection_timeout"},
				def: "10s", example: "3s",
				doc:   "Longest wait for a connection, TLS included.",
				value: duration("100ms", "5m", func(d *draft) *time.Duration { return &d.link.Cluster.DialTimeout }),
			},
			{
				name: "request_timeout", kafka: "request.timeout.ms",
				def: "30s", example: "10s",
				doc:   "Longest wait for the answer to one request to a broker.",
				value: duration("1s", "15m", func(d *draft) *time.Duration { return &d.link.Cluster.RequestTimeout }),
			},
		},
	}
}

// keyHosts is the name of a setting that rules speak of.
const keyHosts = "hosts"
