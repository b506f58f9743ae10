package security

import (
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
)

// way is how a link connects.
type way struct {
	name            string
	config, secrets map[string]string
}

// ways are all combinations of protocol and mechanism that Apache Kafka knows.
func (c *cluster) ways(t *testing.T) []way {
	t.Helper()
	ways := []way{
		{"PLAINTEXT", config("hosts", c.Brokers()[0]), nil},
		{"SSL with a sealed key", config("hosts", c.TLSBrokers()[0], "security_protocol", "SSL", "tls_ca", c.ca.pem, "tls_cert", c.clientCert), config("tls_key", c.clientKey)},
		{"SSL with files", config("hosts", c.TLSBrokers()[0], "tls_ca_file", c.Cert("ca.crt"), "tls_cert_file", c.Cert("client.crt"), "tls_key_file", c.Cert("client.key")), nil},
		{"SSL with all of it sealed", nil, config("hosts", c.TLSBrokers()[0], "security_protocol", "SSL", "tls_ca", c.ca.pem, "tls_cert", c.clientCert, "tls_key", c.clientKey)},
	}
	for _, listener := range []struct{ protocol, host string }{{"SASL_PLAINTEXT", c.SASLBrokers()[0]},
		{"SASL_SSL", c.SASLTLSBrokers()[0]}} {
		base := config("hosts", listener.host, "security_protocol", listener.protocol)
		if listener.protocol == "SASL_SSL" {
			base["tls_ca"] = c.ca.pem
		}
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			ways = append(ways, way{listener.protocol + " " + mechanism,
				with(base, "sasl_mechanism", mechanism, "sasl_username", user), config("sasl_password", password)})
		}
		ways = append(ways, way{listener.protocol + " OAUTHBEARER", with(base, c.oauth()...),
			config("oauth_client_secret", c.issuer.secret)})
	}
	return ways
}

func (c *cluster) oauth() []string {
	return []string{"sasl_mechanism", "OAUTHBEARER", "oauth_token_endpoint", c.issuer.tokenURL(), "oauth_client_id",
		oauthClient, "oauth_scope", "kafka.read,kafka.write"}
}

func everyProtocol(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	r.component("echo")
	for _, w := range c.ways(t) {
		t.Run(w.name, func(t *testing.T) {
			r := r.in(t)
			topic := r.topic("in-"+tag(w.name), 2)
			r.kc.Topic(topic+".reply", 1, nil)
			l := r.link("echo", with(reading(topic), flat(w.config)...), w.secrets)
			r.kc.ProduceText(topic, "ping")
			r.echoes(topic, "ping")
			r.WaitHealthy()
			if result := r.check("echo", with(reading(topic), flat(w.config)...), w.secrets); result.Status == check.Fail {
				t.Errorf("the check says\n%s", lines(result))
			}
			r.host.DeleteLink(l)
		})
	}
	c.issuer.mu.Lock()
	defer c.issuer.mu.Unlock()
	if c.issuer.scope != "kafka.read kafka.write" {
		t.Errorf("tokens were asked for with the scope %q", c.issuer.scope)
	}
}

// in is the rig within a subtest.
func (r *rig) in(t *testing.T) *rig {
	inner := *r
	inner.t = t
	return &inner
}

// flat makes pairs of a config.
func flat(c map[string]string) []string {
	var pairs []string
	for key, value := range c {
		pairs = append(pairs, key, value)
	}
	return pairs
}

// tag makes a part of a topic's name of any text.
func tag(text string) string { return strings.NewReplacer(" ", "-", "_", "-", ",", "-").Replace(text) }

func everyFormOfHosts(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	r.component("echo")
	for name, hosts := range map[string]string{
		"an IPv6 address, with TLS by its name": c.IPv6Brokers()[0],
		"trailing commas and spaces":            " ," + c.IPv6Brokers()[0] + " ,, ",
		"one that is down among them":           "127.0.0.1:1," + c.IPv6Brokers()[0] + ",",
	} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			topic := r.topic("hosts-"+tag(name), 1)
			r.kc.Topic(topic+".reply", 1, nil)
			l := r.link("echo", with(reading(topic), "hosts", hosts, "security_protocol", "SSL", "tls_ca", c.ca.pem), nil)
			r.kc.ProduceText(topic, "ping")
			r.echoes(topic, "ping")
			r.host.DeleteLink(l)
		})
	}
}

func providerDefaults(t *testing.T, c *cluster) {
	r := newRig(t, c,
		config("hosts", c.SASLTLSBrokers()[0], "security_protocol", "SASL_SSL", "sasl_mechanism", "SCRAM-SHA-512",
			"sasl_username", user, "tls_ca", c.ca.pem),
		config("sasl_password", password))
	for _, id := range []string{"one", "two"} {
		r.component(id)
		topic := r.topic(id, 1)
		r.kc.Topic(topic+".reply", 1, nil)
		r.link(id, reading(topic), nil)
		r.kc.ProduceText(topic, "ping")
		r.echoes(topic, "ping")
	}
	r.WaitHealthy()
}
