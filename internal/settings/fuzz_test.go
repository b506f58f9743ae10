package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// marker is found in a secret of every fuzzed input. It is written so that every parser may come across it, and so
// that it is no part of any text of ours.
const marker = "Zq7xW9"

// FuzzParseLink checks that no input makes a panic, that nothing of a secret gets out, and that what is accepted
// keeps the promises that its readers rely on. Each line of the texts is one "key=value".
func FuzzParseLink(f *testing.F) {
	f.Add("topic=a,b\nhosts=[::1]:1", "sasl_password=x", "linger=5ms", "before", "after")
	f.Add("topic=/a.*/\nstart=7d\nsasl_mechanism=PLAIN", "sasl_username=u", "acks=1", "http://", "@host")
	f.Add("tls_cert=-----BEGIN CERTIFICATE-----", "oauth_extensions=a=b", "hosts=::1", "-----BEGIN ", "-----")
	f.Add("consumer_partitions=0-9,3\nTopic=x\ntopic=y", "oauth_token_endpoint=https://a", "aws_region=r",
		"https://u:", "@h/")
	f.Add("topic=a\nfilter=key == 'a' && value.b > 1\non_filter_error=skip", "filter=x", "filter=headers.", "key == ", ".a")
	f.Add("max_buffer=1k\nreply_topic={topic}", "topic=/(/", "Security.Protocol=ssl", "/(?P<", ">)/")
	f.Fuzz(func(t *testing.T, plain, secret, defaults, before, after string) {
		value := before + marker + after
		hide := func(m map[string]string) map[string]Secret {
			s := make(map[string]Secret)
			for key := range m {
				s[key] = NewSecret(value)
			}
			return s
		}
		in := Input{
			Config: pairs(plain), Secrets: hide(pairs(secret)),
			Defaults: pairs(defaults), DefaultSecrets: hide(pairs(after)),
			Identity: echo,
		}
		if containsMarker(plain + secret + defaults + after) {
			t.Skip("the marker is no secret")
		}
		link, warnings, err := ParseLink(in)
		output := lines(warnings)
		if err != nil {
			output += err.Error()
		} else {
			checkPromises(t, link)
		}
		_, providerWarnings, providerErr := ParseProvider(in.Defaults, in.DefaultSecrets)
		output += lines(providerWarnings) + fmt.Sprint(providerErr)
		if containsMarker(output) {
			t.Errorf("a secret got out: %s", output)
		}
	})
}

func pairs(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		m[key] = value
	}
	return m
}

func containsMarker(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(marker))
}

func checkPromises(t *testing.T, link Link) {
	t.Helper()
	c, d, p := link.Consumer, link.Delivery, link.Producer.Client
	for promise, kept := range map[string]bool{
		"there are hosts":                          len(link.Cluster.Hosts) > 0,
		"there is a group":                         c.Group != "",
		"topics or a pattern":                      len(c.Topics) == 0 || c.TopicPattern == nil,
		"the session is within the rebalance":      c.SessionTimeout > 0 && c.SessionTimeout <= c.RebalanceTimeout,
		"the backoff is within its maximum":        d.RetryBackoff > 0 && d.RetryBackoff <= d.RetryBackoffMax,
		"a fetch fits into the buffer":             c.FetchMaxBytes > 0 && int64(c.FetchMaxBytes) <= d.MaxBuffer,
		"idempotent with acks=all only":            !p.Idempotent || p.Acks == AcksAll,
		"a publish may outlast lingering":          p.Linger < p.PublishTimeout,
		"calls are bounded":                        d.MaxInFlight > 0 && d.HandleTimeout > 0,
		"a mechanism with SASL, and only then":     link.Cluster.Security.Protocol.UsesSASL() == (link.Cluster.Security.Mechanism != ""),
		"partitions with the classic group only":   len(c.Partitions) == 0 || c.GroupProtocol == GroupClassic,
		"retry topics are not read as new":         !slices.ContainsFunc(d.RetryTopicNames(), c.reads),
		"dead letters are not read":                d.DeadLetterTopic == "" || !c.reads(d.DeadLetterTopic),
		"marks are on envelopes":                   d.Tombstones != TombstonesEnvelope || d.Payload == PayloadEnvelope,
		"the instance id is one that brokers take": c.InstanceID == "" || record.IsTopicName(c.InstanceID),
	} {
		if !kept {
			t.Errorf("broken promise: %s: %+v", promise, link)
		}
	}
	for _, topic := range c.Topics {
		if !record.IsTopicName(topic) {
			t.Errorf("%q is no topic", topic)
		}
	}
}
