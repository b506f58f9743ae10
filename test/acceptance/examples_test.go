//go:build acceptance

package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// example is one of examples/ as its README has it behind the bridge.
type example struct {
	name, topic string
	topics      []string
	given       []*kgo.Record
	want        map[string][]string // by topic: what is there, sorted, as [describeAll] writes it
}

// TestExamples does what the READMEs of the examples say: their commands, with the shims, and their files, with other
// addresses.
func TestExamples(t *testing.T) {
	text := func(key, value string) *kgo.Record { return &kgo.Record{Key: []byte(key), Value: []byte(value)} }
	for _, e := range []example{
		{
			name: "word-count", topic: "texts", topics: []string{"texts.words"},
			given: []*kgo.Record{text("a", "To be, or not to be"), {Key: []byte("gone")}, text("b", "be")},
			want: map[string][]string{"texts.words": {
				`key "be" value "1"`, `key "be" value "2"`, `key "not" value "1"`, `key "or" value "1"`, `key "to" value "2"`,
			}},
		},
		{
			name: "enrich", topic: "orders", topics: []string{"orders.enriched", "orders.dead"},
			given: []*kgo.Record{
				text("7", `{"id":7,"country":"FR","amount":12.50}`), text("8", `{"id":8,"country":"XX"}`), {Key: []byte("9")},
			},
			want: map[string][]string{
				"orders.enriched": {
					`key "7" value "{\"id\":7,\"country\":\"FR\",\"amount\":12.50,\"currency\":\"EUR\"}" enriched-from="orders/0/0"`,
					`key "9" value null enriched-from="orders/0/2"`,
				},
				"orders.dead": {`key "8" value "{\"id\":8,\"country\":\"XX\"}"`},
			},
		},
		{
			name: "order-filter", topic: "orders", topics: []string{"orders.large", "orders.dead"},
			given: []*kgo.Record{text("7", `{"total":250}`), text("8", `{"total":99.5}`), text("9", `{}`), {Key: []byte("10")}},
			want: map[string][]string{
				"orders.large": {`key "10" value null`, `key "7" value "{\"total\":250}"`},
				"orders.dead":  {`key "9" value "{}"`},
			},
		},
	} {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.run(t)
		})
	}
}

var (
	plugLines = regexp.MustCompile(`(?m)^ *wac plug .*$`)
	serveLine = regexp.MustCompile(`wasmtime serve ((?:[^\\\n]|\\\n)*)\n`)
	yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")
)

func (e example) run(t *testing.T) {
	readme := readFile(t, "examples/"+e.name+"/README.md")
	folder := t.TempDir()
	built := testkit.ComponentWasm(t, e.name)
	link(t, built, folder, "target/wasm32-wasip2/release/"+strings.ReplaceAll(e.name, "-", "_")+".wasm")
	link(t, built, folder, e.name+".wasm")
	plug(t, folder, readme)

	serve := serveLine.FindStringSubmatch(readme)
	file := yamlBlock.FindStringSubmatch(readme)
	if serve == nil || file == nil {
		t.Fatal("the README has no command for wasmtime, or no file for the bridge")
	}
	p := newPlace(t, &frontEnd{name: e.name})
	for _, topic := range append(e.topics, e.topic) {
		p.kc.Topic(topic, 1, nil)
	}
	var env []string
	words := strings.Fields(strings.ReplaceAll(serve[1], "\\\n", " "))
	for i, word := range words {
		if word == "--env" {
			env = append(env, strings.Replace(words[i+1], "127.0.0.1:8082", p.listen, 1))
		}
	}
	host := testkit.StartWasiHost(t, filepath.Join(folder, words[len(words)-1]), env...)
	content := file[1]
	for was, is := range map[string]string{
		"127.0.0.1:9092": p.kafka.Brokers()[0], "127.0.0.1:8082": p.listen, "http://127.0.0.1:8081/": host.URL(),
	} {
		content = strings.ReplaceAll(content, was, is)
	}
	b := newProgram(t, filepath.Join(folder, "bridge.yaml"))
	writeFile(t, b.path, "admin_address: "+b.admin+"\nstart: earliest\ncommit_interval: 20ms\n"+content)
	t.Cleanup(func() {
		_ = b.stop() // how it ends matters to no test here
		if t.Failed() {
			t.Logf("log of the bridge:\n%s", b.log.String())
		}
	})
	b.Start()
	b.WaitHealthy()
	for _, r := range e.given {
		r.Topic = e.topic
	}
	p.kc.Produce(e.given...)
	p.kc.WaitDrained("bridge."+e.name, e.topic)
	for topic, want := range e.want {
		var got []string
		for _, one := range describeAll(p.stored(topic)) {
			if topic == "orders.dead" {
				one, _, _ = strings.Cut(one, " kafka_")
			}
			got = append(got, one)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%s, want\n%s", topic, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// plug runs a README's commands that make components of shims and others.
func plug(t *testing.T, folder, readme string) {
	t.Helper()
	lines := plugLines.FindAllString(readme, -1)
	if len(lines) == 0 {
		t.Fatal("the README has no commands of wac")
	}
	for _, shim := range []string{"handler", "processor", "messaging", "producer", "consumer", "config"} {
		link(t, testkit.ShimWasm(t, shim), folder, "shim-"+shim+".wasm")
	}
	for _, line := range lines {
		args := strings.Fields(line)
		cmd := exec.CommandContext(t.Context(), testkit.Wac(t), args[1:]...)
		cmd.Dir = folder
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, said)
		}
	}
}

// link has a file under another name below a folder.
func link(t *testing.T, file, folder, name string) {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = os.Symlink(file, path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readFile reads a file of the project.
func readFile(t *testing.T, path string) string {
	t.Helper()
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
