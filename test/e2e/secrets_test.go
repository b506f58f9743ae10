//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// The names of the secrets API (wasmcloud-secrets-types 0.8, version v1alpha1).
const (
	secretsTopic   = "wasmcloud.secrets"
	secretsBackend = "test-backend"
	hostXKey       = "WasmCloud-Host-Xkey"
	responseXKey   = "Server-Response-Xkey"
)

// backend is a small secrets backend: it tells a host its public key, and answers requests that are sealed for it with
// secrets that are sealed for whoever asked.
type backend struct {
	t   *testing.T
	key nkeys.KeyPair
	pub string

	mu      sync.Mutex
	secrets map[string]any // a string or bytes by its key
	asked   map[string]int // how often each was given out
}

// secretRequest is what hosts ask with, as far as the backend reads it.
type secretRequest struct {
	Key     string `json:"key"`
	Context struct {
		EntityJWT string `json:"entity_jwt"`
		HostJWT   string `json:"host_jwt"`
	} `json:"context"`
}

func startBackend(t *testing.T, ns *testkit.NATSServer, secrets map[string]any) *backend {
	t.Helper()
	b := &backend{t: t, secrets: secrets, asked: make(map[string]int)}
	b.key, b.pub = curveKey(t)
	nc := ns.Connect()
	prefix := secretsTopic + ".v1alpha1." + secretsBackend + "."
	for operation, answer := range map[string]func(*nats.Msg) (*nats.Msg, error){"server_xkey": b.tellKey, "get": b.get} {
		if _, err := nc.Subscribe(prefix+operation, func(m *nats.Msg) {
			reply, err := answer(m)
			if err == nil {
				err = m.RespondMsg(reply)
			}
			if err != nil {
				t.Errorf("the secrets backend: %s: %v", operation, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return b
}

func curveKey(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	key, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, pub
}

func (b *backend) tellKey(*nats.Msg) (*nats.Msg, error) { return &nats.Msg{Data: []byte(b.pub)}, nil }

func (b *backend) get(m *nats.Msg) (*nats.Msg, error) {
	asker := m.Header.Get(hostXKey)
	plain, err := b.key.Open(m.Data, asker)
	if err != nil {
		return nil, fmt.Errorf("opening a request: %w", err)
	}
	var request secretRequest
	if err := json.Unmarshal(plain, &request); err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	// Backends decide by these; they come from the archive and the host, three parts each.
	for name, jwt := range map[string]string{"entity": request.Context.EntityJWT, "host": request.Context.HostJWT} {
		if strings.Count(jwt, ".") != 2 {
			return nil, fmt.Errorf("the request for %s has no %s JWT", request.Key, name)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	secret := map[string]any{"version": "1", "string_secret": nil, "binary_secret": nil}
	switch value := b.secrets[request.Key].(type) {
	case string:
		secret["string_secret"] = value
	case []byte:
		numbers := make([]int, len(value)) // as serde writes bytes
		for i, c := range value {
			numbers[i] = int(c)
		}
		secret["binary_secret"] = numbers
	default:
		text, err := json.Marshal(map[string]any{"error": "SecretNotFound"})
		return &nats.Msg{Data: text}, err
	}
	b.asked[request.Key]++
	text, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		return nil, err
	}
	key, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, err
	}
	pub, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	sealed, err := key.Seal(text, asker)
	return &nats.Msg{Data: sealed, Header: nats.Header{responseXKey: {pub}}}, err
}

// putReference makes a config that refers to a secret, as wadm and wash do, and returns its name.
func putReference(host *testkit.Host, name, setting, key string) string {
	name = "SECRET_" + name
	host.PutConfig(name, map[string]string{
		"name": setting, "type": "secret.wasmcloud.dev/v1alpha1", "backend": secretsBackend, "key": key,
		"policy": `{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{}}`,
	})
	return name
}

func TestSecretsOfLinksAndOfTheProviderComeFromTheBackend(t *testing.T) {
	testkit.HostBinary(t)
	const password = `,=;"'\ ü€|`
	wasm, par := testkit.EchoWasm(t), testkit.ProviderArchive(t)
	kafka := testkit.RealKafka(t, testkit.KafkaOptions{Auth: true, Password: password})
	read := func(name string) string {
		text, err := os.ReadFile(kafka.Cert(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true})
	var lattice sync.Map // what crossed it, by subject
	spy := ns.Connect()
	if _, err := spy.Subscribe(">", func(m *nats.Msg) { lattice.Store(m.Subject+"\n"+string(m.Data), nil) }); err != nil {
		t.Fatal(err)
	}
	b := startBackend(t, ns, map[string]any{"kafka/password": password, "kafka/key": []byte(read("client.key"))})
	host := testkit.StartHost(t, ns, testkit.HostOptions{Lattice: "sealed", SecretsTopic: secretsTopic, Log: "debug"})
	kc := testkit.NewClient(t, kafka.Brokers())
	for _, topic := range []string{"sealed.a", "sealed.a.reply", "sealed.b", "sealed.b.reply", "sealed.c",
		"sealed.c.reply"} {
		kc.Topic(topic, 1, nil)
	}

	// The provider's own secret serves the links that bring none.
	host.PutConfig("cluster", map[string]string{
		"hosts": kafka.SASLTLSBrokers()[0], "security_protocol": "SASL_SSL", "tls_ca": read("ca.crt"),
		"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "app", "start": "earliest",
	})
	own := putReference(host, "own", "sasl_password", "kafka/password")
	host.Scale("echo", wasm, 10)
	host.StartProvider("kafka", par, "cluster", own)
	host.WaitHealthy("kafka")
	host.PutConfig("a", map[string]string{"topic": "sealed.a"})
	host.PutLink(testkit.ControlLink{Source: "echo", Target: "kafka", Interface: "consumer", TargetConfig: []string{"a"}})
	kc.ProduceText("sealed.a", "by the provider's secret")
	kc.Read("sealed.a.reply", 1)

	// A text in the link's own secrets, and bytes.
	host.PutConfig("b", map[string]string{"topic": "sealed.b", "hosts": kafka.SASLBrokers()[0],
		"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"})
	host.PutLink(testkit.ControlLink{Source: "kafka", Target: "echo", Name: "b", Interface: "handler",
		SourceConfig: []string{"b", putReference(host, "b", "sasl_password", "kafka/password")}})
	kc.ProduceText("sealed.b", "by a password of the link")
	kc.Read("sealed.b.reply", 1)
	host.PutConfig("c", map[string]string{"topic": "sealed.c", "hosts": kafka.TLSBrokers()[0], "security_protocol": "SSL",
		"tls_cert": read("client.crt")})
	host.PutLink(testkit.ControlLink{Source: "kafka", Target: "echo", Name: "c", Interface: "handler",
		SourceConfig: []string{"c", putReference(host, "c", "tls_key", "kafka/key")}})
	kc.ProduceText("sealed.c", "by a key of the link")
	kc.Read("sealed.c.reply", 1)
	host.WaitHealthy("kafka")

	// Of a link with a secret that the backend has not, the provider hears nothing; the host's log says why.
	host.PutLink(testkit.ControlLink{Source: "kafka", Target: "echo", Name: "d", Interface: "handler",
		SourceConfig: []string{"c", putReference(host, "d", "tls_key", "kafka/absent")}})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !strings.Contains(host.Output(), "Secret not found") {
			return errors.New("the host says nothing of the secret that is not there")
		}
		return nil
	})
	if strings.Contains(host.Output(), "link=d ") {
		t.Error("the provider was told of a link whose secret is not there")
	}
	host.StopProvider("kafka")

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked["kafka/password"] < 2 || b.asked["kafka/key"] < 1 {
		t.Errorf("the backend was asked for %v", b.asked)
	}
	keyLine := strings.Split(read("client.key"), "\n")[1]
	for name, secret := range map[string]string{
		"the password": password, "the password in JSON": strings.Trim(mustJSON(t, password), `"`),
		"the password in base64": base64.StdEncoding.EncodeToString([]byte(password)), "the key": keyLine,
	} {
		if strings.Contains(host.Output(), secret) {
			t.Errorf("%s shows in the output of the host and the provider", name)
		}
		lattice.Range(func(message, _ any) bool {
			if strings.Contains(message.(string), secret) {
				subject, _, _ := strings.Cut(message.(string), "\n")
				t.Errorf("%s shows in a message on %s", name, subject)
			}
			return true
		})
	}
	if err := count(&lattice); err != nil {
		t.Error(err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// count makes sure that something was overheard.
func count(messages *sync.Map) error {
	n := 0
	messages.Range(func(any, any) bool { n++; return true })
	if n < 20 {
		return errors.New("hardly anything was overheard, so that nothing was searched")
	}
	return nil
}
