package kafka

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestSASLMechanismsTakeEachOthersPlace(t *testing.T) {
	t.Parallel()
	const pass = `,=;"'\ ü€%&`
	_, addr := startKafka(t, kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain,user", pass),
		kfake.Superuser("SCRAM-SHA-256", "scram=user", pass),
		kfake.Superuser("SCRAM-SHA-512", "scram512", pass))
	security := func(m settings.Mechanism, user string) settings.Security {
		return settings.Security{Protocol: settings.SASLPlaintext, Mechanism: m, Username: user,
			Password: settings.NewSecret(pass)}
	}
	access := newAccess(t, clusterAt(security(settings.Plain, "plain,user"), addr))
	// One set of options, made before any change: what changes later has to reach the clients made with it.
	opts := access.Options()
	for _, next := range []settings.Security{
		security(settings.Plain, "plain,user"),
		security(settings.ScramSHA256, "scram=user"),
		security(settings.ScramSHA512, "scram512"),
	} {
		if err := access.Update(next); err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(t, client); err != nil {
			t.Errorf("%s: %v", next.Mechanism, err)
		}
		client.Close()
	}
	if failure := access.LastFailure(); failure != nil {
		t.Errorf("a failure is left over: %v", failure)
	}
}

func TestChangedPasswordReachesNewConnectionsOfARunningClient(t *testing.T) {
	t.Parallel()
	_, addr := startKafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "new"))
	security := settings.Security{Protocol: settings.SASLPlaintext, Mechanism: settings.Plain, Username: "app",
		Password: settings.NewSecret("old")}
	access := newAccess(t, clusterAt(security, addr))
	client := newClient(t, access)
	if err := ping(t, client); err == nil {
		t.Fatal("the old password is still good")
	}
	security.Password = settings.NewSecret("new")
	if err := access.Update(security); err != nil {
		t.Fatal(err)
	}
	if err := ping(t, client); err != nil {
		t.Fatal(err)
	}
	if failure := access.LastFailure(); failure != nil {
		t.Errorf("after a success the last failure is %v", failure)
	}
}

func TestUpdateRefusesWhatARunningClientCannotFollow(t *testing.T) {
	t.Parallel()
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, "127.0.0.1:1"))
	err := access.Update(settings.Security{Protocol: settings.SASLPlaintext, Mechanism: settings.Plain})
	if !errors.Is(err, ErrNewClientNeeded) {
		t.Errorf("got %v", err)
	}
	if err := access.Update(settings.Security{Protocol: settings.TLS, TLSCA: "no PEM"}); err == nil ||
		!strings.Contains(err.Error(), "tls_ca") {
		t.Errorf("got %v", err)
	}
	if p := access.state.Load().Protocol; p != settings.Plaintext {
		t.Errorf("a refused update left %s behind", p)
	}
	if err := access.Update(settings.Security{Protocol: settings.TLS}); err != nil {
		t.Error(err)
	}
}

func TestNewAccessNamesBadTLSText(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	cert, key := ca.issue(soon(), 2, "client")
	_, otherKey := ca.issue(soon(), 3, "client")
	for name, test := range map[string]struct {
		security settings.Security
		word     string
	}{
		"a CA that is no PEM":            {settings.Security{TLSCA: "x"}, "tls_ca"},
		"a certificate without a key":    {settings.Security{TLSCert: cert}, "tls_key"},
		"a key without a certificate":    {settings.Security{TLSKey: settings.NewSecret(key)}, "tls_cert"},
		"a key of another certificate":   {settings.Security{TLSCert: cert, TLSKey: settings.NewSecret(otherKey)}, "tls_key"},
		"a CA that is no PEM, and files": {settings.Security{TLSCA: "x", TLSCertFile: "/none", TLSKeyFile: "/none"}, "tls_ca"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.security.Protocol = settings.TLS
			_, err := NewAccess(clusterAt(test.security, "127.0.0.1:1"), nil)
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Fatalf("got %v, want an error with %q", err, test.word)
			}
			for _, secret := range []string{key, otherKey} {
				if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), secret[40:60]) {
					t.Error("the error shows the key")
				}
			}
		})
	}
}

// TestCertificateFilesAreReadAgain rotates a client certificate on disk under a running client.
func TestCertificateFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	config := ca.server(soon(), "127.0.0.1")
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
	serials := make(chan int64, 16)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		serials <- state.PeerCertificates[0].SerialNumber.Int64()
		return nil
	}
	_, addr := startKafka(t, kfake.TLS(config))

	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var written time.Duration
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// File systems with coarse clocks must not hide a change.
		written += time.Second
		at := time.Now().Add(written)
		if err := os.Chtimes(file(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	access, err := NewAccess(clusterAt(settings.Security{
		Protocol: settings.TLS, TLSCAFile: file("ca.pem"), TLSCertFile: file("cert.pem"), TLSKeyFile: file("key.pem"),
	}, addr), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	dial := func() error {
		conn, err := access.Dial(t.Context(), "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}

	if err := dial(); err == nil || !strings.Contains(err.Error(), "tls_ca_file") {
		t.Fatalf("without files: %v", err)
	}
	cert1, key1 := ca.issue(soon(), 101, "client")
	write("ca.pem", ca.pem)
	write("cert.pem", cert1)
	write("key.pem", key1)
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if got := <-serials; got != 101 {
		t.Errorf("the broker saw certificate %d, want 101", got)
	}

	cert2, key2 := ca.issue(soon(), 102, "client")
	write("cert.pem", cert2) // half of the rotation: the pair does not fit
	for range 3 {
		if err := dial(); err != nil {
			t.Fatal(err)
		}
		if got := <-serials; got != 101 {
			t.Errorf("with half a pair the broker saw certificate %d, want 101", got)
		}
	}
	if n := strings.Count(log.String(), "tls_cert_file and tls_key_file"); n != 1 {
		t.Errorf("half a pair is logged %d times, want once:\n%s", n, &log)
	}
	write("key.pem", key2)
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if got := <-serials; got != 102 {
		t.Errorf("after the rotation the broker saw certificate %d, want 102", got)
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("the log shows a key")
	}
}

func TestClusterKey(t *testing.T) {
	t.Parallel()
	base := clusterAt(settings.Security{
		Protocol: settings.SASLTLS, Mechanism: settings.Plain, Username: "u", Password: settings.NewSecret("p"),
		OAuthExtensions: map[string]string{"a": "1", "b": "2"},
	}, "a:1", "b:2")
	producer := settings.ProducerClient{Acks: settings.AcksAll, Idempotent: true}
	same := base
	same.Hosts = []string{"a:1", "b:2"}
	same.Security.OAuthExtensions = map[string]string{"b": "2", "a": "1"}
	if NewClusterKey(base, producer) != NewClusterKey(same, producer) {
		t.Error("equal settings have different keys")
	}
	for name, change := range map[string]func(*settings.Cluster, *settings.ProducerClient){
		"hosts":    func(c *settings.Cluster, _ *settings.ProducerClient) { c.Hosts = []string{"a:1"} },
		"user":     func(c *settings.Cluster, _ *settings.ProducerClient) { c.Security.Username = "v" },
		"password": func(c *settings.Cluster, _ *settings.ProducerClient) { c.Security.Password = settings.NewSecret("q") },
		"secret moved to another field": func(c *settings.Cluster, _ *settings.ProducerClient) {
			c.Security.Password, c.Security.TLSKey = settings.Secret{}, settings.NewSecret("p")
		},
		"acks": func(_ *settings.Cluster, p *settings.ProducerClient) { p.Acks = settings.AcksLeader },
	} {
		c, p := base, producer
		change(&c, &p)
		if NewClusterKey(base, producer) == NewClusterKey(c, p) {
			t.Errorf("another %s has the same key", name)
		}
	}
}

func TestTheClientsRoutineIsForDebugging(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logAdapter{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), Explain}
	if got := log.Level(); got != kgo.LogLevelInfo {
		t.Errorf("at debug, the client's level is %v", got)
	}
	log.Log(kgo.LogLevelError, "broken", "addr", "a:1")
	log.Log(kgo.LogLevelWarn, "unable to dial", "addr", "a:1", "err", io.EOF)
	log.Log(kgo.LogLevelInfo, "routine")
	log.Log(kgo.LogLevelDebug, "wordy")
	log.Log(kgo.LogLevelWarn, "join group failed") // what the client tells its user as well
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"level=ERROR|broken|addr=a:1", "level=WARN|unable to dial|addr=a:1 error=EOF", "level=DEBUG|routine", "level=DEBUG|join group",
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), &out)
	}
	for i, line := range lines {
		for part := range strings.SplitSeq(want[i], "|") {
			if !strings.Contains(line, part) {
				t.Errorf("line %d lacks %q: %s", i, part, line)
			}
		}
	}
	if got := (logAdapter{slog.New(slog.DiscardHandler), Explain}).Level(); got != kgo.LogLevelNone {
		t.Errorf("without a log, the client's level is %v", got)
	}
}
