package kafka

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// realKafkas runs a test on each version of Apache Kafka, with all its listeners.
func realKafkas(t *testing.T, test func(*testing.T, *testkit.Kafka)) {
	if testing.Short() {
		t.Skip("starting Apache Kafka takes long")
	}
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run("Kafka "+version, func(t *testing.T) {
			test(t, testkit.RealKafka(t, testkit.KafkaOptions{Version: version, Auth: true}))
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// metadata asks for something that needs authentication where the listener has it.
func metadata(t *testing.T, access *Access) error {
	t.Helper()
	client := newClient(t, access)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	return err
}

const (
	realUser = "app"
	realPass = "app-secret"
)

func TestEveryProtocolOnApacheKafka(t *testing.T) {
	realKafkas(t, func(t *testing.T, kafka *testkit.Kafka) {
		ca := read(t, kafka.Cert("ca.crt"))
		reach := func(name string, hosts []string, security settings.Security) {
			t.Run(name, func(t *testing.T) {
				if err := metadata(t, newAccess(t, clusterAt(security, hosts...))); err != nil {
					t.Error(err)
				}
			})
		}
		reach("PLAINTEXT", kafka.Brokers(), settings.Security{Protocol: settings.Plaintext})
		reach("SSL with PEM text", kafka.TLSBrokers(), settings.Security{
			Protocol: settings.TLS, TLSCA: ca, TLSCert: read(t, kafka.Cert("client.crt")), TLSKey: settings.NewSecret(read(t, kafka.Cert("client.key")))})
		reach("SSL with files", kafka.TLSBrokers(), settings.Security{
			Protocol: settings.TLS, TLSCAFile: kafka.Cert("ca.crt"), TLSCertFile: kafka.Cert("client.crt"), TLSKeyFile: kafka.Cert("client.key")})
		for _, mechanism := range []settings.Mechanism{settings.Plain, settings.ScramSHA256, settings.ScramSHA512} {
			security := settings.Security{
				Protocol: settings.SASLPlaintext, Mechanism: mechanism, Username: realUser, Password: settings.NewSecret(realPass)}
			reach("SASL_PLAINTEXT "+string(mechanism), kafka.SASLBrokers(), security)
			security.Protocol, security.TLSCA = settings.SASLTLS, ca
			reach("SASL_SSL "+string(mechanism), kafka.SASLTLSBrokers(), security)
		}
	})
}

func TestConnectionFailuresOnApacheKafka(t *testing.T) {
	realKafkas(t, func(t *testing.T, kafka *testkit.Kafka) {
		ca := read(t, kafka.Cert("ca.crt"))
		otherCA := newAuthority(t, "other CA")
		cert, key := otherCA.issue(soon(), 9, "client")
		password := func(protocol settings.Protocol, mechanism settings.Mechanism, user, pass string) settings.Security {
			return settings.Security{Protocol: protocol, Mechanism: mechanism, Username: user, Password: settings.NewSecret(pass), TLSCA: ca}
		}
		for name, test := range map[string]struct {
			hosts    []string
			security settings.Security
			class    Class
			words    []string
		}{
			"TLS to the plaintext port":           {kafka.Brokers(), settings.Security{Protocol: settings.TLS, TLSCA: ca}, ClassTLSToPlaintext, []string{"security_protocol"}},
			"SASL_SSL to the SASL_PLAINTEXT port": {kafka.SASLBrokers(), password(settings.SASLTLS, settings.Plain, realUser, realPass), ClassTLSToPlaintext, []string{"security_protocol"}},
			"plaintext to the TLS port":           {kafka.TLSBrokers(), settings.Security{Protocol: settings.Plaintext}, ClassPlaintextToTLS, []string{"security_protocol"}},
			"SASL_PLAINTEXT to the SASL_SSL port": {kafka.SASLTLSBrokers(), password(settings.SASLPlaintext, settings.Plain, realUser, realPass), ClassPlaintextToTLS, []string{"SASL_SSL"}},
			"an unknown CA":                       {kafka.SASLTLSBrokers(), settings.Security{Protocol: settings.SASLTLS, Mechanism: settings.Plain, TLSCA: otherCA.pem}, ClassTLSUnknownCA, []string{"tls_ca"}},
			"another server name": {kafka.TLSBrokers(), settings.Security{Protocol: settings.TLS, TLSCA: ca, TLSServerName: "other.example.org"},
				ClassTLSServerName, []string{"other.example.org", "tls_server_name"}},
			"no client certificate": {kafka.TLSBrokers(), settings.Security{Protocol: settings.TLS, TLSCA: ca}, ClassTLSClientCert, []string{"tls_cert", "tls_key"}},
			"a client certificate of another CA": {kafka.TLSBrokers(), settings.Security{Protocol: settings.TLS, TLSCA: ca, TLSCert: cert, TLSKey: settings.NewSecret(key)},
				ClassTLSClientCert, []string{"tls_cert"}},
			"no authentication":          {kafka.SASLBrokers(), settings.Security{Protocol: settings.Plaintext}, ClassSASLNeeded, []string{"sasl_mechanism"}},
			"SASL on the plaintext port": {kafka.Brokers(), password(settings.SASLPlaintext, settings.Plain, realUser, realPass), ClassSASLNotOffered, []string{"security_protocol"}},
			"a wrong password, PLAIN":    {kafka.SASLBrokers(), password(settings.SASLPlaintext, settings.Plain, realUser, "wrong-secret"), ClassAuthentication, []string{`"app"`, "sasl_password"}},
			"a wrong password, SCRAM":    {kafka.SASLBrokers(), password(settings.SASLPlaintext, settings.ScramSHA512, realUser, "wrong-secret"), ClassAuthentication, []string{`"app"`, "sasl_password"}},
			"an unknown user":            {kafka.SASLTLSBrokers(), password(settings.SASLTLS, settings.ScramSHA256, "nobody", "wrong-secret"), ClassAuthentication, []string{`"nobody"`, "sasl_username"}},
			"a mechanism not offered": {kafka.SASLBrokers(), settings.Security{Protocol: settings.SASLPlaintext, Mechanism: settings.AWSMSKIAM, AWSRegion: "eu-west-1",
				AWSAccessKeyID: "AKID", AWSSecretAccessKey: settings.NewSecret("wrong-secret")}, ClassSASLMechanism, []string{"sasl_mechanism", "AWS_MSK_IAM"}},
		} {
			t.Run(name, func(t *testing.T) {
				access := newAccess(t, clusterAt(test.security, test.hosts...))
				err := metadata(t, access)
				if err == nil {
					t.Fatal("the cluster was reached")
				}
				got := access.Explain(err)
				if got.Class != test.class {
					t.Errorf("class %q, want %q (%s) for: %v", got.Class, test.class, got.Text, err)
				}
				for _, word := range test.words {
					if !strings.Contains(got.Text, word) {
						t.Errorf("the text lacks %q: %s", word, got.Text)
					}
				}
				for _, bad := range []string{"EOF", "wrong-secret", realPass} {
					if strings.Contains(got.Text, bad) {
						t.Errorf("the text has %q: %s", bad, got.Text)
					}
				}
			})
		}
	})
}
