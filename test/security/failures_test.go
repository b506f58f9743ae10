package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const wrong = "wrong-secret"

// everyFailure provokes what can go wrong between a link and the broker, and reads what health and the check say.
func everyFailure(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	topic := r.topic("in", 1)
	r.kc.Topic(topic+".reply", 1, nil)
	run.Use("a wrong password", wrong)
	other := newAuthority(t)
	otherCert, otherKey := other.issue(t, "client", time.Now().Add(time.Hour))
	expiredCert, expiredKey := c.ca.issue(t, "client", time.Now().Add(-time.Minute))
	c.scramUser(t, "nobody", "nobodys-password")

	secured := config("hosts", c.SASLTLSBrokers()[0], "security_protocol", "SASL_SSL", "tls_ca", c.ca.pem,
		"sasl_mechanism", "PLAIN", "sasl_username", user)
	right, bad := config("sasl_password", password), config("sasl_password", wrong)
	sasl := func(mechanism string) map[string]string {
		return config("hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", mechanism,
			"sasl_username", user)
	}
	nobody := with(sasl("SCRAM-SHA-256"), "sasl_username", "nobody")
	nobodys := config("sasl_password", "nobodys-password")

	type failure struct {
		name            string
		config, secrets map[string]string
		step            check.Step
		class           kafka.Class
		words           []string // of health and of the check
	}
	failures := []failure{
		{"TLS to a port without", config("hosts", c.Brokers()[0], "security_protocol", "SSL"), nil,
			check.StepTLS, kafka.ClassTLSToPlaintext, []string{"security_protocol", "PLAINTEXT", c.Brokers()[0]}},
		{"SASL_SSL to a port of SASL_PLAINTEXT", with(secured, "hosts", c.SASLBrokers()[0]), right,
			check.StepTLS, kafka.ClassTLSToPlaintext, []string{"security_protocol", "SASL_PLAINTEXT", c.SASLBrokers()[0]}},
		{"no TLS to a port with", config("hosts", c.TLSBrokers()[0]), nil,
			check.StepVersions, kafka.ClassPlaintextToTLS, []string{"expects TLS", "security_protocol", c.TLSBrokers()[0]}},
		{"SASL_PLAINTEXT to a port of SASL_SSL", with(sasl("PLAIN"), "hosts", c.SASLTLSBrokers()[0]), right,
			check.StepSASL, kafka.ClassPlaintextToTLS, []string{"expects TLS", "SASL_SSL", c.SASLTLSBrokers()[0]}},
		{"another server name", with(secured, "tls_server_name", "kafka.example.org"), right,
			check.StepTLS, kafka.ClassTLSServerName, []string{"localhost", "kafka.example.org", "tls_server_name"}},
		{"an authority that is not known", with(secured, "tls_ca", other.pem), right,
			check.StepTLS, kafka.ClassTLSUnknownCA, []string{"tls_ca", c.SASLTLSBrokers()[0]}},
		{"no authority given", config("hosts", c.IPv6Brokers()[0], "security_protocol", "SSL"), nil,
			check.StepTLS, kafka.ClassTLSUnknownCA, []string{"tls_ca", c.IPv6Brokers()[0]}},
		{"no client certificate", config("hosts", c.TLSBrokers()[0], "security_protocol", "SSL", "tls_ca", c.ca.pem), nil,
			check.StepVersions, kafka.ClassTLSClientCert, []string{"tls_cert", "tls_key"}},
		{"a client certificate of another authority", config("hosts", c.TLSBrokers()[0], "security_protocol", "SSL", "tls_ca",
			c.ca.pem, "tls_cert", otherCert), config("tls_key", otherKey),
			check.StepVersions, kafka.ClassTLSClientCert, []string{"does not accept the client certificate", "tls_cert"}},
		{"a client certificate that has expired", config("hosts", c.TLSBrokers()[0], "security_protocol", "SSL", "tls_ca",
			c.ca.pem, "tls_cert", expiredCert), config("tls_key", expiredKey),
			check.StepVersions, kafka.ClassTLSClientCert, []string{"does not accept the client certificate", "tls_cert"}},
		{"a wrong password for PLAIN", sasl("PLAIN"), bad,
			check.StepSASL, kafka.ClassAuthentication, []string{`"app"`, "sasl_password", "PLAIN"}},
		{"a wrong password for SCRAM-SHA-256", sasl("SCRAM-SHA-256"), bad,
			check.StepSASL, kafka.ClassAuthentication, []string{`"app"`, "sasl_password", "SCRAM-SHA-256"}},
		{"a wrong password for SCRAM-SHA-512 over TLS", with(secured, "sasl_mechanism", "SCRAM-SHA-512"), bad,
			check.StepSASL, kafka.ClassAuthentication, []string{`"app"`, "sasl_password", "SCRAM-SHA-512"}},
		{"a user that does not exist", with(sasl("SCRAM-SHA-512"), "sasl_username", "somebody"), bad,
			check.StepSASL, kafka.ClassAuthentication, []string{`"somebody"`, "sasl_username"}},
		{"a wrong client secret", with(sasl("PLAIN"), c.oauth()...), config("oauth_client_secret", wrong),
			check.StepSASL, kafka.ClassToken, []string{c.issuer.tokenURL(), "invalid_client", "oauth_client_secret"}},
		{"a token endpoint that is not there",
			with(sasl("PLAIN"), append(c.oauth(), "oauth_token_endpoint", "http://127.0.0.1:1/token")...),
			config("oauth_client_secret", wrong),
			check.StepSASL, kafka.ClassToken, []string{"http://127.0.0.1:1/token", "oauth_token_endpoint"}},
		{"a mechanism that the broker has not", with(sasl("AWS_MSK_IAM"), "aws_region", "eu-central-1", "aws_access_key_id",
			"AKIAIOSFODNN7EXAMPLE"), config("aws_secret_access_key", wrong),
			check.StepSASL, kafka.ClassSASLMechanism, []string{"sasl_mechanism", "AWS_MSK_IAM"}},
		{"no SASL where it is needed", config("hosts", c.SASLBrokers()[0]), nil,
			check.StepVersions, kafka.ClassSASLNeeded, []string{"security_protocol", "sasl_mechanism"}},
		{"SASL where there is none", with(sasl("PLAIN"), "hosts", c.Brokers()[0]), right,
			check.StepSASL, kafka.ClassSASLNotOffered, []string{"security_protocol", "PLAINTEXT"}},
		{"a port that is closed", config("hosts", "127.0.0.1:1"), nil,
			check.StepTCP, kafka.ClassRefused, []string{"127.0.0.1:1", "connection refused", "hosts"}},
		{"a name that does not exist", config("hosts", "kafka.invalid:9092"), nil,
			check.StepName, kafka.ClassDNS, []string{"kafka.invalid:9092", "hosts", "DNS"}},
		{"a topic that the user has no right on", with(nobody, "topic", topic), nobodys,
			check.StepTopic, kafka.ClassTopicRights, []string{`"nobody"`, "not authorised for the topic", "Read"}},
		{"a topic that does not exist", config("hosts", c.Brokers()[0], "topic", "absent"), nil,
			check.StepTopic, kafka.ClassUnknownTopic, []string{"topic absent", "create_topics"}},
	}
	if c.version == testkit.Kafka3 {
		failures = append(failures,
			failure{"a broker that is too old for share groups", config("hosts", c.Brokers()[0], "group_protocol", "share"), nil,
				check.StepVersions, kafka.ClassBrokerTooOld, []string{"too old", "group_protocol", "4.2"}})
		failures = append(failures,
			failure{"a broker that is too old for KIP-848", config("hosts", c.Brokers()[0], "group_protocol", "consumer"), nil,
				check.StepVersions, kafka.ClassBrokerTooOld, []string{"too old", "group_protocol", "4.0"}})
	}
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			r := r.in(t)
			settings := with(with(reading(topic), "reply_topic", "none"), flat(f.config)...)
			l := r.link("lost", settings, f.secrets)
			r.unhealthy("lost", f.words...)
			r.host.DeleteLink(l)
			result := r.check("lost", settings, f.secrets)
			got, ok := found(result, f.step, check.Fail)
			if !ok || got.Class != f.class {
				t.Fatalf("the check says\n%s", lines(result))
			}
			for _, word := range f.words {
				if text := got.Target + ": " + got.Text; !strings.Contains(text, word) {
					t.Errorf("the check lacks %q: %s", word, text)
				}
			}
			if strings.Contains(lines(result), "EOF") {
				t.Errorf("the check has a bare EOF:\n%s", lines(result))
			}
		})
	}
	t.Run("a group that the user has no right on", func(t *testing.T) {
		r := r.in(t)
		c.scramUser(t, "reader", "readers-password")
		c.grant(t, "reader", acl("Read topic "+topic))
		config, secrets := with(with(reading(topic), flat(nobody)...), "sasl_username", "reader", "reply_topic", "none"),
			config("sasl_password", "readers-password")
		r.component("barred")
		l := r.link("barred", config, secrets)
		r.unhealthy("barred", `"reader"`, "not authorised for the consumer group", "Read")
		if f, ok := found(r.check("barred", config, secrets), check.StepGroup, check.Fail); !ok ||
			f.Class != kafka.ClassGroupRights {
			t.Errorf("the check says %+v", f)
		}
		c.grant(t, "reader", acl("Read group "+r.group("barred")))
		r.WaitHealthy()
		r.host.DeleteLink(l)
	})
	t.Run("an advertised address that cannot be reached", func(t *testing.T) {
		r := r.in(t)
		c.Proxies()[0].Down()
		defer c.Proxies()[0].Up()
		config := with(reading(topic), "hosts", c.proxiedDirectly(t), "security_protocol", "SSL", "tls_ca", c.ca.pem,
			"tls_cert", c.clientCert, "reply_topic", "none")
		secrets := map[string]string{"tls_key": c.clientKey}
		l := r.link("astray", config, secrets)
		r.unhealthy("astray", c.ProxiedBrokers()[0], "advertised.listeners")
		r.host.DeleteLink(l)
		if f, ok := found(r.check("astray", config, secrets), check.StepListener, check.Fail); !ok ||
			f.Class != kafka.ClassAdvertised || !strings.Contains(f.Text, c.ProxiedBrokers()[0]) {
			t.Errorf("the check says %+v", f)
		}
	})
	t.Run("a server certificate that has expired", func(t *testing.T) { expiredServer(t, c, r.in(t), topic) })
}

// expiredServer gives a listener another certificate while the broker runs, as a platform does that forgets to.
func expiredServer(t *testing.T, c *cluster, r *rig, topic string) {
	cert, key := c.ca.issue(t, "server", time.Now().Add(-time.Minute))
	dir, err := os.MkdirTemp("", "messaging-kafka-expired-") // the tool below takes no comma, which the test's own has
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := dir + "/expired.pem"
	writeFile(t, path, key+cert)
	change := func(flag, what string) {
		c.Tool(t, "configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", flag, what)
	}
	change("--add-config", "listener.name.ipv6.ssl.keystore.type=PEM,listener.name.ipv6.ssl.keystore.location="+path)
	defer change("--delete-config", "listener.name.ipv6.ssl.keystore.type,listener.name.ipv6.ssl.keystore.location")
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.cert)
	refused(t, "clients with the certificate from before", kgo.SeedBrokers(c.IPv6Brokers()...),
		kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	config := with(reading(topic), "hosts", c.IPv6Brokers()[0], "security_protocol", "SSL", "tls_ca", c.ca.pem,
		"reply_topic", "none")
	l := r.link("late", config, nil)
	r.unhealthy("late", c.IPv6Brokers()[0], "has expired", "renew")
	r.host.DeleteLink(l)
	if f, ok := found(r.check("late", config, nil), check.StepTLS, check.Fail); !ok || f.Class != kafka.ClassTLSExpired {
		t.Errorf("the check says %+v", f)
	}
}

// everyPublishFailure provokes what a component that publishes can be refused for, and reads its error.
func everyPublishFailure(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	out := r.topic("out", 1)
	c.scramUser(t, "publisher", "publishers-password")
	c.Tool(t, "configs", "--alter", "--entity-type", "clients", "--entity-name", "slow", "--add-config",
		"producer_byte_rate=1024")
	sasl := config("hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "SCRAM-SHA-256",
		"sasl_username", "publisher")
	secrets := config("sasl_password", "publishers-password")
	small := func(topic string) []testkit.Message { return []testkit.Message{{Subject: topic, Body: []byte("x")}} }
	for _, test := range []struct {
		name            string
		config, secrets map[string]string
		rights          []acl
		messages        []testkit.Message // the last is refused
		words           []string
	}{
		{"without any right, idempotent", sasl, secrets, nil, small(out), []string{`"publisher"`, "not authorised", "Write"}},
		{"without any right, not idempotent", with(sasl, "idempotent", "false"), secrets, nil, small(out), []string{`"publisher"`, "not authorised for the topic", "Write"}},
		{"with Describe only, idempotent", sasl, secrets, []acl{acl("Describe topic " + out)}, small(out), []string{`"publisher"`, "Write", "idempotent=false"}},
		{"a topic that does not exist", config("hosts", c.Brokers()[0]), nil, nil, small("absent"), []string{"absent", "does not exist", "create_topics"}},
		{"a topic that is not allowed", config("hosts", c.Brokers()[0], "allowed_topics", "audit,orders.*"), nil, nil, small(out), []string{out, "allowed_topics", "orders.*"}},
		{"a record that is too large for the topic", config("hosts", c.Brokers()[0], "max_message_bytes", "4MiB"), nil, nil,
			[]testkit.Message{{Subject: out, Body: []byte(strings.Repeat("x", 2<<20))}}, []string{"too large",
				"max.message.bytes"}},
		{"a record that is too large for the link", config("hosts", c.Brokers()[0], "max_message_bytes", "64KiB"), nil, nil,
			[]testkit.Message{{Subject: out, Body: []byte(strings.Repeat("x", 128<<10))}}, []string{"too large",
				"max_message_bytes"}},
		{"a quota that is used up", config("hosts", c.Brokers()[0], "client_id", "slow", "publish_timeout", "2s"), nil, nil,
			[]testkit.Message{{Subject: out, Body: []byte(strings.Repeat("x", 500<<10))}, {Subject: out, Body: []byte("x")}},
			[]string{"publish_timeout", "quota", "producer_byte_rate"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.grant(t, "publisher", test.rights...)
			r := r.in(t)
			// One of its own, so that no link of a test before serves the first call.
			id := "publisher-" + strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(test.name))
			publisher := r.component(id)
			l := r.link(id, test.config, test.secrets)
			var err error
			for _, m := range test.messages {
				err = publisher.Publish(t.Context(), m)
			}
			var refused *testkit.ResultError
			if !errors.As(err, &refused) {
				t.Fatalf("it was not refused: %v", err)
			}
			run.Saw("an error of publish in "+t.Name(), refused.Text)
			for _, word := range test.words {
				if !strings.Contains(refused.Text, word) {
					t.Errorf("the error lacks %q: %s", word, refused.Text)
				}
			}
			r.host.DeleteLink(l)
			if len(test.rights) > 0 {
				c.revoke(t, "publisher", test.rights...)
			}
		})
	}
}
