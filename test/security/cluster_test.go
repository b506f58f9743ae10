package security

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const (
	// user is the one that may do everything, with a password of all that is awkward somewhere.
	user     = "app"
	password = `,=;"'\ ü€|&/$`
	// reauth is after how long brokers end sessions that do not authenticate again (connections.max.reauth.ms).
	reauth = 4 * time.Second
)

// cluster is a broker with every kind of listener: PLAINTEXT, for which everything is allowed; SASL_PLAINTEXT and
// SASL_SSL with all mechanisms but AWS_MSK_IAM; SSL with client certificates, directly and, as PROXIED, through a
// proxy; IPV6 with TLS.
type cluster struct {
	*testkit.Kafka
	version string
	issuer  *issuer
	admin   *kadm.Client
	ca      *authority
	// clientCert and clientKey are those of CN=client, which may do everything.
	clientCert, clientKey string
}

func startCluster(t *testing.T, version string) *cluster {
	t.Helper()
	watching.Do(func() { testkit.AtExit(t, run.Check) })
	c := &cluster{version: version, issuer: startIssuer(t)}
	// From 4.0 on, brokers fetch keys from addresses only that the command line allows.
	t.Setenv("KAFKA_OPTS", "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="+c.issuer.keysURL())
	const oauth = "org.apache.kafka.common.security.oauthbearer."
	properties := map[string]string{
		"super.users": "User:ANONYMOUS;User:" + user +
			";User:CN=client;User:" + oauthSubject,
		"connections.max.reauth.ms":                                    strconv.FormatInt(reauth.Milliseconds(), 10),
		"listener.security.protocol.map":                               "PLAINTEXT:PLAINTEXT,PROXIED:SSL,IPV6:SSL,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
		"listener.name.proxied.ssl.client.auth":                        "required",
		"sasl.enabled.mechanisms":                                      "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"sasl.oauthbearer.jwks.endpoint.url":                           c.issuer.keysURL(),
		"sasl.oauthbearer.expected.audience":                           audience,
		"sasl.oauthbearer.expected.issuer":                             "http://" + c.issuer.addr,
		"listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms": "3600000", // there, tokens alone end sessions
	}
	for _, listener := range []string{"sasl_plaintext", "sasl_ssl"} {
		prefix := "listener.name." + listener + ".oauthbearer."
		properties[prefix+"sasl.jaas.config"] = oauth + "OAuthBearerLoginModule required;"
		properties[prefix+"sasl.server.callback.handler.class"] = oauth + "OAuthBearerValidatorCallbackHandler"
	}
	run.Use("password of app", password)
	c.Kafka = testkit.StartKafka(t, testkit.KafkaOptions{
		Version: version, Auth: true, ACL: true, NoAutoCreate: true, IPv6: true, Proxied: true, Password: password,
		Properties: properties,
	})
	c.admin = kadm.NewClient(testkit.NewClient(t, c.Brokers()).Client)
	c.ca = loadAuthority(t, readFile(t, c.Cert("ca.crt")), readFile(t, c.Cert("ca.key")))
	c.clientCert = readFile(t, c.Cert("client.crt"))
	c.clientKey = run.Use("key of CN=client", readFile(t, c.Cert("client.key")))
	return c
}

// proxiedDirectly is the PROXIED listener without the proxy that it tells clients to come to.
func (c *cluster) proxiedDirectly(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(c.Brokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	base, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(base+4))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	// In the way of whoever rotates files with care: readers find the old one or the new one, never half of one.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// scramUser makes a user of SCRAM-SHA-256, or gives it another password.
func (c *cluster) scramUser(t *testing.T, name, secret string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
	defer cancel()
	responses, err := c.admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
		User: name, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: run.Use("password of "+name+" "+secret[:3],
			secret),
	}})
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		t.Fatalf("making the user %s: %v", name, err)
	}
}

// acl is a right as the tests write it: "Read topic orders", "Read group g", "IdempotentWrite cluster".
type acl string

func (c *cluster) builder(t *testing.T, name string, right acl) *kadm.ACLBuilder {
	t.Helper()
	parts := strings.Fields(string(right))
	op, err := kmsg.ParseACLOperation(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	b := kadm.NewACLs().Operations(op).ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:" + name).AllowHosts("*")
	switch parts[1] {
	case "topic":
		b = b.Topics(parts[2])
	case "group":
		b = b.Groups(parts[2])
	default:
		b = b.Clusters()
	}
	return b
}

func (c *cluster) grant(t *testing.T, name string, all ...acl) {
	t.Helper()
	for _, right := range all {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
		results, err := c.admin.CreateACLs(ctx, c.builder(t, name, right))
		cancel()
		if err == nil && results[0].Err != nil {
			err = results[0].Err
		}
		if err != nil {
			t.Fatalf("granting %s to %s: %v", right, name, err)
		}
	}
}

func (c *cluster) revoke(t *testing.T, name string, all ...acl) {
	t.Helper()
	for _, right := range all {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.DefaultTimeout)
		results, err := c.admin.DeleteACLs(ctx, c.builder(t, name, right))
		cancel()
		if err == nil && (results[0].Err != nil || len(results[0].Deleted) == 0) {
			t.Fatalf("revoking %s from %s: %v, %d deleted", right, name, results[0].Err, len(results[0].Deleted))
		}
		if err != nil {
			t.Fatalf("revoking %s from %s: %v", right, name, err)
		}
	}
}
