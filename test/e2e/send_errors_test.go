//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Each case of send-error that a real broker, or its absence, can bring about, as a real component sees it: it rejects
// the record that told it to send, with the case and its text.
func TestARealComponentLearnsWhyARecordWasNotSent(t *testing.T) {
	// Not a shared one: proxies can be had only so.
	kafka := testkit.StartKafka(t, testkit.KafkaOptions{Auth: true, ACL: true, NoAutoCreate: true, Proxied: true})
	s := startStack(t, kafka, testkit.HostOptions{Lattice: "errors"})
	s.topics("errors.out", "errors.dead", "errors.answers", "errors.questions")
	s.kafka.Topic("errors.small", 1, map[string]string{"max.message.bytes": "10000"})
	for _, component := range []string{"sender", "stranger", "slow", "cut-off"} {
		s.component(component, "records-echo")
		s.topics("errors.in." + component)
		// Dead letters are a little larger than their records.
		s.toHandler(component, component, "errors.in."+component, "dead_letter_topic", "errors.dead",
			"max_message_bytes", "3MiB")
	}
	s.fromComponent("sender", "allowed_topics", "errors.*", "request_reply_topic", "errors.answers")
	s.fromComponent("stranger", "publish_timeout", "10s", "hosts", kafka.SASLBrokers()[0],
		"security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "PLAIN", "sasl_username", "app",
		"sasl_password", "app-secret")
	s.fromComponent("slow", "publish_timeout", "5s", "hosts", kafka.ProxiedBrokers()[0])
	s.fromComponent("cut-off", "publish_timeout", "5s", "hosts", "127.0.0.1:1")

	// With a connection that swallows everything it cannot be known whether a record was stored.
	s.kafka.ProduceText("errors.in.slow", "!send:errors.out:fine")
	if got := values(s.kafka.Read("errors.out", 1)); got[0] != "fine" {
		t.Errorf("%q was sent", got)
	}
	kafka.Proxies()[0].Pause()
	defer kafka.Proxies()[0].Resume()

	tests := map[string]struct{ component, command, want string }{
		"larger than the topic takes":   {"sender", "!send:errors.small:" + strings.Repeat("x", 20_000), "too-large: 20027 of 10000 bytes"},
		"larger than the link allows":   {"sender", "!send:errors.out:" + strings.Repeat("x", 2<<20), "too-large: 2097179 of 2097152 bytes"},
		"a topic that is missing":       {"sender", "!send:errors.missing:x", "unknown-topic: "},
		"a topic that is not allowed":   {"sender", "!send:elsewhere:x", "not-authorised: publishing to elsewhere: the topic may not be published to: allowed_topics are errors.*"},
		"no right to the topic":         {"stranger", "!send:errors.out:x", "not-authorised: "},
		"a partition that is missing":   {"sender", "!sendto:errors.out:7:x", "invalid: publishing to errors.out: there is no partition 7: the topic has 1"},
		"a name that no topic has":      {"sender", "!send:errors.a b:x", "invalid: "},
		"no acknowledgement":            {"slow", "!send:errors.out:x", "timed-out: publishing to errors.out: no acknowledgement from Kafka"},
		"no answer":                     {"sender", "!ask:500:errors.questions:x", "timed-out: "},
		"a broker out of reach":         {"cut-off", "!send:errors.out:x", "unavailable: "},
		"a request without reply topic": {"cut-off", "!request:errors.out:x", "invalid: "},
		"a request to a missing topic":  {"sender", "!request:errors.missing:x", "unknown-topic: "},
		"a request that is not allowed": {"sender", "!request:elsewhere:x", "not-authorised: "},
	}
	for name, test := range tests {
		s.kafka.Produce(&kgo.Record{Topic: "errors.in." + test.component, Key: []byte(name), Value: []byte(test.command)})
	}
	letters := make(map[string]string)
	for _, r := range s.kafka.Read("errors.dead", len(tests)) {
		letters[string(r.Key)], _ = headerOf(r, "kafka_dlt-exception-message")
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := letters[name]
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("the component was told %q, want %q", got, test.want)
			}
		})
	}
}
