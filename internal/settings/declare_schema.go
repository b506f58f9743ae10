package settings

import (
	"net/url"
	"strings"
	"time"
)

func schemaSection() section {
	return section{
		title: "Schema registry",
		intro: "With `schema_registry`, values that are framed as Confluent's clients do it (Avro, Protobuf, JSON Schema) are JSON text for the component, and what it publishes is JSON that is written as its schema says ([schemas.md](schemas.md)).",
		settings: []setting{
			{
				name: keyRegistry, hints: []string{"registry", "schema_registry_url", "schema_registry_urls", "schema_url"},
				defDoc: "none: values are what they are", example: "https://schemas.example.com",
				doc:   "URL of the registry, or several URLs of one, which are asked in turn where one is away; `none` takes back that of the provider's own config. It speaks the API of Confluent's: so do Karapace, Redpanda and Apicurio (`/apis/ccompat/v7`).",
				value: into("list of URLs, or `none`", parseRegistries, func(d *draft) *[]string { return &d.link.Schema.Registries }),
			},
			{
				name:  "schema_registry_username",
				hints: []string{"schema_registry_user", "schema_username"}, example: "orders-app",
				doc:   "User at the registry (HTTP Basic).",
				value: text(func(d *draft) *string { return &d.link.Cluster.Security.Registry.Username }),
			},
			{
				name:      "schema_registry_password",
				hints:     []string{"schema_password", "basic_auth_user_info", "schema_registry_basic_auth_user_info"},
				sensitive: true,
				doc:       "Password of `schema_registry_username`.",
				value:     secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.Registry.Password }),
			},
			{
				name:  "schema_registry_token",
				hints: []string{"schema_token", "bearer_auth_token", "schema_registry_bearer_token"}, sensitive: true,
				doc:   "Bearer token for the registry, instead of user and password.",
				value: secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.Registry.Token }),
			},
			{
				name: "schema_registry_ca", hints: []string{"schema_registry_tls_ca", "schema_ca"},
				defDoc: "the system's", example: "-----BEGIN CERTIFICATE-----…",
				doc:   "Certificates of authorities that may have signed the registry's certificate, besides the system's.",
				value: authorities("schema_registry_ca", func(d *draft) *string { return &d.link.Schema.CA }),
			},
			{
				name:    "schema_registry_ca_file",
				hints:   []string{"schema_registry_ssl_ca_location", "schema_registry_ssl_truststore_location"},
				example: "/etc/kafka/registry-ca.pem",
				doc:     "The same from a file, which is read for each question.",
				value:   text(func(d *draft) *string { return &d.link.Schema.CAFile }),
			},
			{
				name: "schema_registry_timeout", hints: []string{"schema_timeout"},
				def: "5s", example: "2s",
				doc:   "Longest wait for an answer of the registry.",
				value: duration("100ms", "1m", func(d *draft) *time.Duration { return &d.link.Schema.Timeout }),
			},
			{
				name: "schema_topics", hints: []string{"schema_topic"},
				defDoc: "all", example: "orders.*,customers",
				doc:   "Topics whose records are framed, those read and those published to; `*` stands for any characters, `?` for one. Records of others are left as they are.",
				value: into("list of topics with `*` and `?`", parseTopicGlobs, func(d *draft) *[]string { return &d.link.Schema.Topics }),
			},
			{
				name: keySchemaParts, hints: []string{"schema_for", "schema_sides"},
				def: "value", example: "both",
				doc:   "Which parts of a record are framed: the `value`, the `key`, or `both`.",
				value: word(func(d *draft) *SchemaParts { return &d.link.Schema.Parts }, nil, SchemaValue, SchemaKey, SchemaBoth),
			},
			{
				name: keySchemaSubject, hints: []string{"value_subject_name_strategy", "subject_name_strategy", "subject_strategy"},
				def: "{topic}-{part}", defDoc: "`{topic}-{part}`", example: "com.example.Order",
				doc:   "Subject whose latest schema is written by. `{topic}` stands for the topic and `{part}` for `value` or `key`. The default is TopicNameStrategy; the full name of a record is RecordNameStrategy, `{topic}-com.example.Order` is TopicRecordNameStrategy. Records are read by the id in them, whatever this says.",
				value: into("text", parseSubjectTemplate, func(d *draft) *string { return &d.link.Schema.Subject }),
			},
			{
				name:   "schema_message",
				defDoc: "the first of the schema", example: "com.example.Order",
				doc:   "Full name of the message that is written, where a schema of Protobuf has several.",
				value: text(func(d *draft) *string { return &d.link.Schema.Message }),
			},
			{
				name: "schema_unframed", hints: []string{"schema_on_unframed"},
				def: "reject", example: "pass",
				doc:   "What becomes of a record that is read and is not framed: `reject` gives it up, as one that the component rejects; `pass` hands it over as it is.",
				value: word(func(d *draft) *Unframed { return &d.link.Schema.Unframed }, nil, UnframedReject, UnframedPass),
			},
		},
	}
}

// Names of settings that the rules about schemas speak of.
const (
	keyRegistry      = "schema_registry"
	keySchemaParts   = "schema_parts"
	keySchemaSubject = "schema_subject"
)

// partTemplate stands for the part of a record in schema_subject.
const partTemplate = "{part}"

// parseRegistries reads the URLs of a registry.
func parseRegistries(text string) ([]string, error) {
	if strings.EqualFold(text, "none") {
		return nil, nil
	}
	urls := list(text)
	if len(urls) == 0 {
		return nil, refuse(text, "names no URL")
	}
	for i, at := range urls {
		u, err := url.Parse(at)
		switch {
		case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "":
			// The text may hold a password, so it is not shown.
			return nil, refuse("", "is not a URL: write https://host or https://host:8081/path")
		case u.User != nil:
			return nil, refuse("", "holds a user: user and password go to schema_registry_username and schema_registry_password")
		case u.RawQuery != "" || u.Fragment != "":
			return nil, refuse("", "holds a ? or a # with something behind it, which is never sent")
		}
		urls[i] = strings.TrimSuffix(at, "/")
	}
	return urls, nil
}

// parseSubjectTemplate reads the name of a subject, which may have {topic} and {part} in it.
func parseSubjectTemplate(text string) (string, error) {
	rest := strings.NewReplacer(topicTemplate, "", partTemplate, "").Replace(text)
	if strings.ContainsAny(rest, "{}") {
		return "", refuse(text, "has a brace that is part of neither {topic} nor {part}")
	}
	return parseLine(text)
}
