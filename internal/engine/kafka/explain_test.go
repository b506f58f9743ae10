package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// runbookOf are the entries of the runbook by what an operator is told; other classes have none of their own.
var runbookOf = map[Class]string{
	ClassRefused: "Kafka cannot be reached", ClassTimeout: "Kafka cannot be reached", ClassClosed: "Kafka cannot be reached",
	ClassDNS:            "A name cannot be resolved",
	ClassAdvertised:     "A broker sends clients to an address that they cannot reach",
	ClassTLSToPlaintext: "TLS on one side only", ClassPlaintextToTLS: "TLS on one side only",
	ClassTLSServerName: runbookTLS, ClassTLSUnknownCA: runbookTLS, ClassTLSExpired: runbookTLS, ClassTLSClientCert: runbookTLS,
	ClassTLSOther: runbookTLS, ClassAuthentication: runbookSASL, ClassSASLMechanism: runbookSASL,
	ClassSASLNotOffered: runbookSASL, ClassSASLNeeded: runbookSASL,
	ClassTopicRights: runbookRights, ClassGroupRights: runbookRights, ClassClusterRights: runbookRights,
	ClassTransactionRights: runbookRights, ClassUnknownTopic: "A topic is missing",
}

const (
	runbookTLS    = "TLS: a certificate expired, or is not trusted"
	runbookSASL   = "SASL is refused"
	runbookRights = "A right is missing (ACL)"
	doingTopic    = "topic orders: "
)

// inRunbook has the runbook quote what is said of a failure, below the entry for failures of its class.
func inRunbook(t *testing.T, d Diagnosis) {
	t.Helper()
	if heading := runbookOf[d.Class]; heading != "" {
		said := d.Text
		if d.Class == ClassUnknownTopic {
			said = doingTopic + said // as health has it
		}
		testkit.InRunbook(t, heading, said)
	}
}

// TestConnectionFailures provokes each way in which a connection fails, with real listeners, and checks the words.
func TestConnectionFailures(t *testing.T) {
	t.Parallel()
	ca, otherCA := newAuthority(t, "test CA"), newAuthority(t, "other CA")
	clientCert, clientKey := otherCA.issue(soon(), 7, "client")
	plain := settings.Security{Protocol: settings.Plaintext}
	secure := settings.Security{Protocol: settings.TLS, TLSCA: ca.pem}
	password := func(m settings.Mechanism, user, pass string) settings.Security {
		return settings.Security{Protocol: settings.SASLPlaintext, Mechanism: m, Username: user,
			Password: settings.NewSecret(pass)}
	}
	mutual := func(minVersion, maxVersion uint16) *tls.Config {
		config := ca.server(soon(), "127.0.0.1")
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
		config.MinVersion, config.MaxVersion = minVersion, maxVersion
		return config
	}
	kafka := func(opts ...kfake.Opt) func(*testing.T) string {
		return func(t *testing.T) string {
			_, addr := startKafka(t, opts...)
			return addr
		}
	}
	sasl := kafka(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "app", "right"))

	for name, test := range map[string]struct {
		start    func(*testing.T) string
		security settings.Security
		class    Class
		words    []string // of the text, the setting that mends it above all
	}{
		"TLS to a plaintext broker": {func(t *testing.T) string {
			// A broker takes the first bytes for the length of a request, finds it too large and hangs up; the
			// in-process one would wait for the rest.
			return startPeer(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 4)) })
		}, secure, ClassTLSToPlaintext, []string{"security_protocol", "PLAINTEXT"}},
		"TLS to a port that speaks something else": {func(t *testing.T) string {
			return startPeer(t, func(c net.Conn) {
				_, _ = io.WriteString(c, "220 mail.example.org ready\r\n")
				_, _ = io.Copy(io.Discard, c)
			})
		}, secure, ClassTLSToPlaintext, []string{"does not speak TLS", "security_protocol"}},
		"plaintext to a TLS broker": {kafka(kfake.TLS(ca.server(soon(), "127.0.0.1"))), plain, ClassPlaintextToTLS, []string{"expects TLS", "SSL"}},
		"SASL_PLAINTEXT to a TLS broker": {kafka(kfake.TLS(ca.server(soon(), "127.0.0.1"))),
			password(settings.Plain, "app", "x"),
			ClassPlaintextToTLS, []string{"expects TLS", "SASL_SSL"}},
		"a certificate for another name": {kafka(kfake.TLS(ca.server(soon(), "kafka.example.org"))), secure, ClassTLSServerName, []string{"kafka.example.org", "127.0.0.1", "tls_server_name"}},
		"an unknown authority": {kafka(kfake.TLS(ca.server(soon(), "127.0.0.1"))), settings.Security{Protocol: settings.TLS, TLSCA: otherCA.pem},
			ClassTLSUnknownCA, []string{"tls_ca"}},
		"an authority that the system does not know": {kafka(kfake.TLS(ca.server(soon(), "127.0.0.1"))), settings.Security{Protocol: settings.TLS},
			ClassTLSUnknownCA, []string{"tls_ca"}},
		"an expired certificate": {kafka(kfake.TLS(ca.server(time.Now().Add(-time.Hour), "127.0.0.1"))), secure, ClassTLSExpired, []string{"expired", "renew"}},
		"a client certificate required by TLS 1.3": {kafka(kfake.TLS(mutual(tls.VersionTLS13, tls.VersionTLS13))), secure,
			ClassTLSClientCert, []string{"tls_cert", "tls_key"}},
		"a client certificate required by TLS 1.2": {kafka(kfake.TLS(mutual(tls.VersionTLS12, tls.VersionTLS12))), secure,
			ClassTLSClientCert, []string{"tls_cert", "tls_key"}},
		"a client certificate of the wrong authority": {kafka(kfake.TLS(mutual(tls.VersionTLS12, 0))),
			settings.Security{Protocol: settings.TLS, TLSCA: ca.pem, TLSCert: clientCert, TLSKey: settings.NewSecret(clientKey)},
			ClassTLSClientCert, []string{"tls_cert", "does not accept"}},
		"no TLS version in common": {kafka(kfake.TLS(mutual(tls.VersionTLS12, tls.VersionTLS12))),
			settings.Security{Protocol: settings.TLS, TLSCA: ca.pem, TLSMinVersion: tls.VersionTLS13}, ClassTLSOther,
			[]string{"tls_min_version"}},
		"a wrong password for PLAIN":                       {kafka(kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right")), password(settings.Plain, "app", "wrong-secret"), ClassAuthentication, []string{`"app"`, "sasl_password", "PLAIN"}},
		"a wrong password for SCRAM-SHA-256":               {sasl, password(settings.ScramSHA256, "app", "wrong-secret"), ClassAuthentication, []string{`"app"`, "sasl_password"}},
		"a password that the broker refuses with a reason": {refusesPassword, password(settings.Plain, "app", "wrong-secret"), ClassAuthentication, []string{`"app"`, "sasl_password", "PLAIN"}},
		"an unknown user":                                  {sasl, password(settings.ScramSHA256, "nobody", "wrong-secret"), ClassAuthentication, []string{`"nobody"`, "sasl_username"}},
		"a mechanism that is not offered":                  {withoutMechanism, password(settings.ScramSHA512, "app", "wrong-secret"), ClassSASLMechanism, []string{"sasl_mechanism", "SCRAM-SHA-512"}},
		"SASL on a port without it":                        {withoutSASL, password(settings.Plain, "app", "wrong-secret"), ClassSASLNotOffered, []string{"security_protocol", "PLAINTEXT"}},
		"a closed port":                                    {closedPort, plain, ClassRefused, []string{"connection refused", "hosts"}},
		"a name that does not exist":                       {func(*testing.T) string { return "broker.invalid:9092" }, plain, ClassDNS, []string{"broker.invalid", "hosts"}},
		"a peer that hangs up at once": {func(t *testing.T) string {
			return startPeer(t, func(net.Conn) {})
		}, plain, ClassPlaintextToTLS, []string{"security_protocol"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := test.start(t)
			access := newAccess(t, clusterAt(test.security, addr))
			client := newClient(t, access)
			err := ping(t, client)
			if err == nil {
				t.Fatal("the cluster was reached")
			}
			check := func(what string, err error) {
				t.Helper()
				if err == nil {
					t.Fatalf("no error from %s", what)
				}
				got := access.Explain(err)
				if got.Class != test.class {
					t.Errorf("%s: class %q, want %q (%s) for: %v", what, got.Class, test.class, got.Text, err)
				}
				for _, word := range append(test.words, addr) {
					if !strings.Contains(got.Text, word) {
						t.Errorf("%s: the text lacks %q: %s", what, word, got.Text)
					}
				}
				for _, bad := range []string{"EOF", "wrong-secret"} {
					if strings.Contains(got.Text, bad) {
						t.Errorf("%s: the text has %q: %s", what, bad, got.Text)
					}
				}
			}
			check("the call", err)
			inRunbook(t, access.Explain(err))
			check("the last failure", access.LastFailure())
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// withoutMechanism is a broker that offers PLAIN only; the in-process cluster offers all it knows.
func withoutMechanism(t *testing.T) string {
	return answerHandshake(t, kerr.UnsupportedSaslMechanism)
}

// refusesPassword answers as brokers do; the in-process cluster just hangs up.
func refusesPassword(t *testing.T) string {
	t.Helper()
	cluster, addr := startKafka(t, kfake.EnableSASL())
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = new("Authentication failed: Invalid username or password")
		return resp, nil, true
	})
	return addr
}

// withoutSASL answers a handshake as a broker does on a listener without SASL.
func withoutSASL(t *testing.T) string { return answerHandshake(t, kerr.IllegalSaslState) }

func answerHandshake(t *testing.T, answer *kerr.Error) string {
	t.Helper()
	cluster, addr := startKafka(t, kfake.EnableSASL())
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.ErrorCode = answer.Code
		resp.SupportedMechanisms = []string{"PLAIN"}
		return resp, nil, true
	})
	return addr
}

func TestAuthenticationMissingIsNamed(t *testing.T) {
	t.Parallel()
	_, addr := startKafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"))
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, addr))
	client := newClient(t, access)
	// The broker lets an unauthenticated client ask for versions, and for nothing else.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err == nil {
		t.Fatal("the broker answered without authentication")
	}
	got := access.Explain(err)
	if got.Class != ClassSASLNeeded || !strings.Contains(got.Text, "sasl_mechanism") {
		t.Errorf("got %+v for %v", got, err)
	}
	inRunbook(t, got)
}

func TestSilentPeersRunIntoTheDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addr = "kafka:9092"
		cluster := clusterAt(settings.Security{Protocol: settings.TLS}, addr)
		access := newAccess(t, cluster)
		access.ConnectBy(func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			t.Cleanup(func() { _ = far.Close() })
			go func() { _, _ = io.Copy(io.Discard, far) }()
			return near, nil
		})
		began := time.Now()
		_, err := access.Dial(t.Context(), "tcp", addr)
		got := access.Explain(err)
		if got.Class != ClassTimeout || !strings.Contains(got.Text, "TLS handshake") || !strings.Contains(got.Text, addr) {
			t.Errorf("got %+v for %v", got, err)
		}
		if took := time.Since(began); took != cluster.DialTimeout {
			t.Errorf("it took %v", took)
		}
		testkit.InRunbook(t, "TLS on one side only", got.Text)
	})
}

func TestAdvertisedListenersOutOfReachAreNamed(t *testing.T) {
	t.Parallel()
	cluster, seed := startKafka(t)
	unreachable := closedPort(t)
	host, port, err := net.SplitHostPort(unreachable)
	if err != nil {
		t.Fatal(err)
	}
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host = 1, host
		_, _ = fmt.Sscan(port, &broker.Port)
		resp.Brokers, resp.ControllerID = append(resp.Brokers, broker), 1
		return resp, nil, true
	})
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, seed))
	client := newClient(t, access)
	if err := ping(t, client); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	_, err = client.Broker(1).Request(ctx, kmsg.NewPtrMetadataRequest())
	got := access.Explain(err)
	if got.Class != ClassAdvertised {
		t.Errorf("got %+v for %v", got, err)
	}
	inRunbook(t, got)
	for _, word := range []string{unreachable, "advertised.listeners", "connection refused"} {
		if !strings.Contains(got.Text, word) {
			t.Errorf("the text lacks %q: %s", word, got.Text)
		}
	}
}

func TestBrokerAnswersAreExplained(t *testing.T) {
	t.Parallel()
	for err, test := range map[error]struct {
		class Class
		words []string
	}{
		kerr.TopicAuthorizationFailed: {ClassTopicRights, []string{`"app"`, "Write", "Read"}},
		kerr.GroupAuthorizationFailed: {ClassGroupRights, []string{`"app"`, "consumer_group"}},
		kerr.ClusterAuthorizationFailed: {ClassClusterRights,
			[]string{`"app"`, "IdempotentWrite", "idempotent=false"}},
		kerr.TransactionalIDAuthorizationFailed: {ClassTransactionRights, []string{"transactional id"}},
		kerr.UnknownTopicOrPartition:            {ClassUnknownTopic, []string{"create_topics"}},
		kerr.MessageTooLarge:                    {ClassTooLarge, []string{"max.message.bytes"}},
		kerr.ThrottlingQuotaExceeded:            {ClassThrottled, []string{"quota"}},
		kerr.UnsupportedVersion: {ClassBrokerTooOld,
			[]string{"too old", "group_protocol"}},
		kerr.FencedInstanceID: {ClassFenced, []string{"group_instance_id"}},
		kerr.InconsistentGroupProtocol: {ClassGroupProtocol,
			[]string{"consumer_group", "group_protocol"}},
		kerr.GroupMaxSizeReached:                                 {ClassGroupFull, []string{"group.max.size"}},
		kerr.InvalidSessionTimeout:                               {ClassSessionTimeout, []string{"session_timeout"}},
		kerr.NotEnoughReplicas:                                   {ClassReplicas, []string{"min.insync.replicas"}},
		kerr.UnsupportedCompressionType:                          {ClassBrokerTooOld, []string{"compression"}},
		kerr.FencedMemberEpoch:                                   {ClassCoordinator, []string{"joins again"}},
		&kgo.ErrGroupSession{Err: kerr.GroupAuthorizationFailed}: {ClassGroupRights, []string{"consumer_group"}},
		&BatchError{Offset: 3, Err: errors.New("encoded crc 1")}: {ClassDamagedBatch,
			[]string{"offset 3", "another replica", "encoded crc 1"}},
		&BatchError{Offset: NoOffset, Err: errors.New("too short")}: {ClassDamagedBatch, []string{"a batch is damaged"}},
		kgo.ErrRecordTimeout:     {ClassTimeout, []string{"publish_timeout"}},
		kgo.ErrClientClosed:      {ClassShutDown, nil},
		context.DeadlineExceeded: {ClassTimeout, []string{"request_timeout"}},
		context.Canceled:         {ClassShutDown, nil},
		io.EOF: {ClassClosed,
			[]string{"127.0.0.1:1", "closed the connection", "security_protocol"}},
		io.ErrUnexpectedEOF: {ClassClosed, []string{"closed the connection"}},
	} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			access := newAccess(t, clusterAt(settings.Security{
				Protocol: settings.SASLPlaintext, Mechanism: settings.ScramSHA512, Username: "app",
				Password: settings.NewSecret("hush-hush"),
			}, "127.0.0.1:1"))
			got := access.Explain(fmt.Errorf("doing something: %w", err))
			if got.Class != test.class {
				t.Errorf("class %q, want %q", got.Class, test.class)
			}
			for _, word := range test.words {
				if !strings.Contains(got.Text, word) {
					t.Errorf("the text lacks %q: %s", word, got.Text)
				}
			}
			if strings.ContainsAny(got.Text, "{}") || strings.Contains(got.Text, "EOF") || strings.Contains(got.Text, "hush") {
				t.Errorf("the text is not fit to be shown: %s", got.Text)
			}
			if !errors.Is(err, kgo.ErrRecordTimeout) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				inRunbook(t, got)
			}
			// The function that knows nothing of the cluster finds the same class.
			if got := Explain(err); got.Class != test.class {
				t.Errorf("without an access: class %q, want %q", got.Class, test.class)
			}
		})
	}
}

func TestATopicThatWasDeletedIsInTheRunbook(t *testing.T) {
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, "127.0.0.1:1"))
	testkit.InRunbook(t, "A topic was deleted, and perhaps made anew", access.Explain(kerr.UnknownTopicID).Text)
}

func TestEveryBrokerAnswerHasAText(t *testing.T) {
	t.Parallel()
	for answer, d := range brokerAnswers {
		if d.Text == "" || d.Class == "" || d.Class == ClassNone || d.Class == ClassOther {
			t.Errorf("%s: %+v", answer.Message, d)
		}
	}
}

func TestUnknownErrorsKeepTheirText(t *testing.T) {
	t.Parallel()
	if got := Explain(errors.New("the moon is full")); got.Class != ClassOther || got.Text != "the moon is full" {
		t.Errorf("got %+v", got)
	}
	if got := Explain(fmt.Errorf("x: %w", kerr.InvalidConfig)); got.Class != ClassOther ||
		!strings.Contains(got.Text, "INVALID_CONFIG") {
		t.Errorf("got %+v", got)
	}
	if got := Explain(nil); got.Class != ClassNone {
		t.Errorf("got %+v", got)
	}
}
