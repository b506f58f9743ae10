package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesAboutNATSCanBeUsed: each file in the document is one that a bridge starts with.
func TestExamplesAboutNATSCanBeUsed(t *testing.T) {
	text, err := os.ReadFile("../../../docs/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	creds := filepath.Join(t.TempDir(), "bridge.creds")
	if err := os.WriteFile(creds, []byte("-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\ny\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 3 {
		t.Fatalf("there are %d examples", len(blocks))
	}
	for _, block := range blocks {
		file := strings.ReplaceAll(block[1], "/run/secrets/bridge.creds", creds)
		c, err := Parse([]byte(file), Options{Path: "bridge.yaml", Lookup: func(string) (string, bool) { return "", false }})
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("%s%v, %+v", file, err, c)
		}
	}
}
