package bridge

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestSettingsThatContradictOneAnotherAreTold at the start and by the check, with the line, and others are not.
func TestSettingsThatContradictOneAnotherAreTold(t *testing.T) {
	t.Parallel()
	const route = "routes:\n  orders:\n    topic: orders\n    deliver: http-records\n    url: http://127.0.0.1:1/\n"
	for name, c := range map[string]struct {
		content string
		want    []string // the keys, with their lines
	}{
		"nothing":                {"hosts: a:1\nlisten: 1\nprovider_max_memory: 128MiB\n" + route, nil},
		"a body of the default":  {"hosts: a:1\nlisten: 1\nprovider_max_memory: 64MiB\n" + route + "    http_max_answer: 1MiB\n", []string{"listen_max_body:2"}},
		"a body":                 {"hosts: a:1\nlisten: 1\nlisten_max_body: 128MiB\nprovider_max_memory: 1000MiB\n" + route, []string{"listen_max_body:3"}},
		"a body that has room":   {"hosts: a:1\nlisten: 1\nlisten_max_body: 128MiB\nprovider_max_memory: 1GiB\n" + route, nil},
		"nobody is served":       {"hosts: a:1\nprovider_max_memory: 64MiB\n" + route + "    http_max_answer: 1MiB\n", nil},
		"an answer":              {"hosts: a:1\nprovider_max_memory: 64MiB\n" + route + "    http_max_answer: 9MiB\n", []string{"routes.orders.http_max_answer:4"}},
		"a drain":                {"hosts: a:1\n" + route + "    drain_timeout: 20s\n", []string{"routes.orders.drain_timeout:3"}},
		"a drain that has time":  {"hosts: a:1\nprovider_shutdown_timeout: 30s\n" + route + "    drain_timeout: 20s\n", nil},
		"a drain of the default": {"hosts: a:1\nprovider_shutdown_timeout: 2s\n" + route, []string{"routes.orders.drain_timeout:4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "bridge.yaml")
			write(t, path, c.content)
			read, err := config.Read(config.Options{Path: path, Lookup: func(string) (string, bool) { return "", false }})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range Contradictions(read) {
				got = append(got, fmt.Sprintf("%s:%d", w.Key, w.Line))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("told are %q, not %q", got, c.want)
			}
		})
	}
	if got := memory.New(neededFor(1<<20) / 2).Largest(); got < 1<<20 {
		t.Errorf("what is said to be needed has room for %d bytes", got)
	}
	k := testkit.Kfake(t)
	b, _ := startListening(t, "provider_max_memory: 64MiB\n"+file(k.Brokers(), "orders\nallowed_topics: orders"), nil)
	if !b.log.Contains(`level=WARN msg="is 16777216 bytes, and there is memory for 8388608 of one request`) {
		t.Errorf("the start does not tell: %s", b.log)
	}
}
