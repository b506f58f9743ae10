package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// membership is what must not change.
type membership struct {
	members    []string
	rebalances float64
}

func (r *rig) membership(component string) membership {
	r.t.Helper()
	return membership{r.kc.MemberIDs(r.group(component)), r.rebalances(component)}
}

func (r *rig) sameMembership(component string, before membership) {
	r.t.Helper()
	if now := r.membership(component); !slices.Equal(now.members, before.members) || now.rebalances != before.rebalances {
		r.t.Errorf("the group of %s was %+v and is %+v", component, before, now)
	}
}

// begin starts an echo of a component under load.
func (r *rig) begin(component string, config, secrets map[string]string) *flow {
	r.t.Helper()
	r.component(component)
	topic := r.topic(component, 3)
	r.kc.Topic(topic+".reply", 1, nil)
	r.link(component, with(reading(topic), flat(config)...), secrets)
	f := r.flow(topic)
	f.waitMore(20)
	return f
}

// refused waits until a client cannot connect.
func refused(t *testing.T, what string, opts ...kgo.Opt) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if client.Ping(ctx) == nil {
			return fmt.Errorf("the broker still takes %s", what)
		}
		return nil
	})
}

func passwordRotation(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	const before, after = "old-password", "new-password"
	c.scramUser(t, "rotating", before)
	c.grant(t, "rotating", acl("Read topic "+r.lattice+".rotating"), acl("Write topic "+r.lattice+".rotating.reply"),
		acl("Read group "+r.group("rotating")))
	settings := config("hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism",
		"SCRAM-SHA-256", "sasl_username", "rotating")
	f := r.begin("rotating", settings, config("sasl_password", before))
	group := r.membership("rotating")
	f.waitMore(int64(2 * reauth / flowEvery / 2)) // sessions have had to authenticate again meanwhile

	run.Use("new password of rotating", after)
	c.Tool(t, "configs", "--alter", "--entity-type", "users", "--entity-name", "rotating", "--add-config",
		"SCRAM-SHA-256=[password="+after+"]")
	r.link("rotating", with(reading(f.topic), flat(settings)...), config("sasl_password", after))
	refused(t, "the old password", kgo.SeedBrokers(c.SASLBrokers()...),
		kgo.SASL(scram.Auth{User: "rotating", Pass: before}.AsSha256Mechanism()))

	// With the old password no session would outlast this.
	begin := time.Now()
	for time.Since(begin) < 3*reauth {
		f.waitMore(20)
	}
	r.sameMembership("rotating", group)
	f.end(r.group("rotating"))
	r.WaitHealthy()
	if n := strings.Count(r.Output(), "the link's credentials were replaced"); n != 1 {
		t.Errorf("credentials were replaced %d times", n)
	}
}

func certificateRotation(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	until := time.Now().Add(25 * time.Second)
	oldCert, oldKey := c.ca.issue(t, "client", until)
	newCert, newKey := c.ca.issue(t, "client", time.Now().Add(time.Hour))
	dir := t.TempDir()
	certFile, keyFile := dir+"/client.pem", dir+"/client.key"
	writeFile(t, certFile, oldCert)
	writeFile(t, keyFile, oldKey)
	base := config("hosts", c.ProxiedBrokers()[0], "security_protocol", "SSL", "tls_ca", c.ca.pem)
	inFiles := with(base, "tls_cert_file", certFile, "tls_key_file", keyFile)
	files := r.begin("filed", inFiles, nil)
	sealed := r.begin("sealed", with(base, "tls_cert", oldCert), config("tls_key", oldKey))
	groups := map[string]membership{"filed": r.membership("filed"), "sealed": r.membership("sealed")}

	writeFile(t, certFile, newCert)
	writeFile(t, keyFile, newKey)
	r.link("sealed", with(with(reading(sealed.topic), flat(base)...), "tls_cert", newCert), config("tls_key", newKey))

	pair, err := tls.X509KeyPair([]byte(oldCert), []byte(oldKey))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.cert)
	refused(t, "the old certificate", kgo.SeedBrokers(c.TLSBrokers()...),
		kgo.DialTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}))

	// Every connection has to be made anew, which the old certificates cannot.
	if n := c.Proxies()[0].Cut(); n == 0 {
		t.Error("there was no connection to break")
	}
	files.waitMore(50)
	sealed.waitMore(50)
	for component, before := range groups {
		r.sameMembership(component, before)
	}
	files.end(r.group("filed"))
	sealed.end(r.group("sealed"))
	r.WaitHealthy()
}

// tokensThatEnd runs for longer than tokens last: 70 s, or the time in MESSAGING_KAFKA_OAUTH_TIME.
func tokensThatEnd(t *testing.T, c *cluster) {
	span := 70 * time.Second
	if text := os.Getenv("MESSAGING_KAFKA_OAUTH_TIME"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil {
			t.Fatalf("MESSAGING_KAFKA_OAUTH_TIME: %v", err)
		}
	}
	r := newRig(t, c, nil, nil)
	issued := c.issuer.issued.Load()
	settings := with(config("hosts", c.SASLTLSBrokers()[0], "security_protocol", "SASL_SSL", "tls_ca", c.ca.pem),
		c.oauth()...)
	f := r.begin("bearer", settings, config("oauth_client_secret", c.issuer.secret))
	group := r.membership("bearer")
	begin := time.Now()
	for time.Since(begin) < span {
		f.waitMore(50)
	}
	r.sameMembership("bearer", group)
	f.end(r.group("bearer"))
	r.WaitHealthy()
	// Sessions end with their token, so each life of a token needs another one.
	if n, least := c.issuer.issued.Load()-issued, int64(span/tokenLife); n < least {
		t.Errorf("%d tokens were issued in %s, want %d or more", n, span, least)
	}
}
