package config

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema, ready to be held against files.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("bridge.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("bridge.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// against holds a file against the schema, as an editor does.
func against(t *testing.T, schema *jsonschema.Schema, content string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// Files that examples name, which are others here.
var (
	caFile     = regexp.MustCompile(`_ca_file: \S+`)
	credsFile  = regexp.MustCompile(`_creds_file: \S+`)
	secretFile = regexp.MustCompile(`(password|token|secret|hmac_key)_file: \S+`)
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestExamplesOfTheDocumentsAreFiles: each is taken, and an editor with the schema finds nothing to mark.
func TestExamplesOfTheDocumentsAreFiles(t *testing.T) {
	schema, examples, folder := compiled(t), 0, t.TempDir()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	for name, content := range map[string][]byte{
		"secret": []byte("0123456789abcdef"),
		"creds":  []byte("-----BEGIN NATS USER JWT-----\na\n-----BEGIN USER NKEY SEED-----\nb\n"),
		"ca":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "\nroutes:") && !strings.HasPrefix(block[1], "routes:") {
				continue
			}
			examples++
			content := caFile.ReplaceAllString(block[1], "_ca_file: ca")
			content = credsFile.ReplaceAllString(content, "_creds_file: creds")
			content = secretFile.ReplaceAllString(content, "${1}_file: secret")
			if _, err := Parse([]byte(content), Options{
				Path: filepath.Join(folder, "bridge.yaml"), Lookup: func(string) (string, bool) { return "0123456789abcdef", true },
			}); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(file), err, block[1])
			}
			if err := against(t, schema, block[1]); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(file), err, block[1])
			}
		}
	}
	if examples == 0 {
		t.Error("the documents have no example")
	}
}

// TestTheSchemaFindsWhatTheReaderFinds, as far as a schema can, and has no word against what the reader takes.
func TestTheSchemaFindsWhatTheReaderFinds(t *testing.T) {
	schema := compiled(t)
	for _, good := range []string{
		orders, orders + "    order: ${ORDER}\n    transactions: true\n    max_in_flight: 3\n    create_topics: false",
		"OTEL_SERVICE_NAME: a\nlisten: 1\nlisten_open: true\ncallers: {a: {token: [a, b], routes: [orders]}}" + orders,
		orders + "    http_hmac_key_file: a\n    http_tls_ca_file: b\n    tls_ca_file: c\n    acks: 1\n    tls_min_version: 1.3",
	} {
		if err := against(t, schema, good); err != nil {
			t.Errorf("%v\n%s", err, good)
		}
	}
	for _, bad := range []string{
		"hostes: a" + orders, orders + "    max_inflight: 3", orders + "    order: keys", orders + "    allowed_topics: {a: b}", "routes: {}", "hosts: a",
		"routes: {\"a b\": {}}", "callers: {a: {tokn: b}}" + orders, "topic: a" + orders, orders + "    admin_address: 1", "provider_inbox_prefixes: a" + orders,
		orders + "    tls_ca_file_file: a",
	} {
		if err := against(t, schema, bad); err == nil {
			t.Errorf("it is taken:\n%s", bad)
		}
	}
}

// TestTheSchemaShowsNoSecret: settings that are secrets have no examples to copy.
func TestTheSchemaShowsNoSecret(t *testing.T) {
	schema := compiled(t)
	secrets := 0
	for name, one := range schema.Properties[keyRoutes].AdditionalProperties.(*jsonschema.Schema).Properties {
		if strings.Contains(name, "password") || strings.Contains(name, "token") || strings.Contains(name, "secret") {
			secrets++
			if len(one.Examples) > 0 && !strings.HasSuffix(name, "_endpoint") && !strings.HasSuffix(name, "_file") || one.Default != nil {
				t.Errorf("%s has %v", name, one.Examples)
			}
		}
	}
	if secrets < 4 {
		t.Errorf("only %d secrets are looked at", secrets)
	}
}
