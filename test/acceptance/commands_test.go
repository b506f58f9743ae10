//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// commandDocument is a document whose commands are run: all of them, one after another in one folder, but for blocks
// that say why they are not.
type commandDocument struct {
	path string
	// in is where the commands are run, below a folder that has what is copied of the project.
	in     string
	copies []string
	// prepare makes what the commands need. It may return what is done before a command, and what is looked at when all
	// have been run.
	prepare func(t *testing.T, s *shell) (before func(command string), after func())
}

var commandDocuments = []commandDocument{
	{path: "docs/hosts.md"},
	{path: "docs/nats.md"},
	{path: "docs/bridge.md", prepare: prepareBridge},
	{path: "deploy/observability/README.md"},
	{path: "deploy/spin/README.md", copies: []string{"deploy/spin", "shims", "wit"}, prepare: prepareSpin},
	{path: "deploy/wasmcloud2/README.md", copies: []string{"shims", "wit"}},
	{path: "deploy/wasmtime/README.md", copies: []string{"deploy/wasmtime", "shims", "wit"}, prepare: prepareWasmtime},
	{path: "shims/README.md", in: "shims", copies: []string{"shims", "wit"}, prepare: prepareShims},
}

// TestCommands runs the commands of the documents for hosts, with addresses of this machine in place of theirs.
func TestCommands(t *testing.T) {
	for _, d := range commandDocuments {
		t.Run(d.path, func(t *testing.T) {
			t.Parallel()
			d.run(t)
		})
	}
}

// TestEveryDocumentForHostsIsRun: one that is added is not forgotten.
func TestEveryDocumentForHostsIsRun(t *testing.T) {
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(root, "deploy", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, d := range commandDocuments {
		known[d.path] = true
	}
	for _, path := range found {
		if relative, err := filepath.Rel(root, path); err != nil || !known[filepath.ToSlash(relative)] {
			t.Errorf("the commands of %s are not run: %v", path, err)
		}
	}
}

func (d *commandDocument) run(t *testing.T) {
	blocks, err := commandBlocks(readFile(t, d.path))
	if err != nil {
		t.Fatalf("%s: %v", d.path, err)
	}
	s := newShell(t, d)
	before, after := func(string) {}, func() {}
	if d.prepare != nil {
		before, after = d.prepare(t, s)
	}
	for _, b := range blocks {
		if b.notRun != "" {
			t.Logf("%s:%d is not run: %s", d.path, b.line, b.notRun)
			continue
		}
		for _, command := range b.commands {
			before(command)
			s.do(command)
		}
	}
	after()
	s.end()
}

// commandBlock is a block of commands in a document.
type commandBlock struct {
	line     int
	commands []string
	notRun   string // why they are not run; "" where they are
}

// notRunMark stands before a block that is not run.
var notRunMark = regexp.MustCompile(`^<!-- not run by tests: (.+) -->$`)

// commandBlocks finds what is indented by four spaces, or fenced as sh or console. What begins with a "$" is shown with
// what it prints, and is a test's of the bridge (TestTheExamplesOfTheDocumentsAreAnsweredSo).
func commandBlocks(text string) ([]commandBlock, error) {
	const indent = "    "
	var blocks []commandBlock
	var current *commandBlock
	fence, commands, marked, markedAt, last := false, false, "", 0, ""
	finish := func() {
		if current != nil && len(current.commands) > 0 {
			blocks = append(blocks, *current)
		}
		current = nil
	}
	for i, line := range strings.Split(text, "\n") {
		switch content, indented := strings.CutPrefix(line, indent); {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			language := strings.TrimPrefix(strings.TrimSpace(line), "```")
			if fence {
				finish()
			} else if commands = language == "sh" || language == "console" || language == "bash"; commands {
				current = &commandBlock{line: i + 1, notRun: marked}
				marked = ""
			}
			fence = !fence
		case fence:
			if commands && strings.TrimSpace(line) != "" {
				current.commands = append(current.commands, line)
			}
		case notRunMark.MatchString(line):
			if marked != "" {
				return nil, fmt.Errorf("line %d: the mark before it marks nothing", markedAt)
			}
			marked, markedAt = notRunMark.FindStringSubmatch(line)[1], i+1
		case strings.TrimSpace(line) == "":
		case indented && current == nil && last != "":
			// The text of an item of a list that goes on.
		case indented && current == nil:
			current = &commandBlock{line: i + 1, notRun: marked}
			marked = ""
			current.add(content)
		case indented:
			current.add(content)
		default:
			finish()
			if marked != "" {
				return nil, fmt.Errorf("line %d: the mark marks nothing", markedAt)
			}
		}
		if !fence && current != nil && strings.TrimSpace(line) == "" {
			finish()
		}
		last = strings.TrimSpace(line)
		if notRunMark.MatchString(line) {
			last = ""
		}
	}
	finish()
	if marked != "" || fence {
		return nil, errors.New("a mark that marks nothing, or a fence that is not closed, is at the end")
	}
	return blocks, nil
}

// add adds a line of an indented block.
func (b *commandBlock) add(line string) {
	n := len(b.commands)
	switch {
	case strings.HasPrefix(line, "$ "), n == 0 && b.notRun == shown:
		b.notRun = shown // with what it prints
		b.commands = append(b.commands, line)
	case n > 0 && strings.HasSuffix(b.commands[n-1], `\`):
		b.commands[n-1] += "\n" + line
	default:
		b.commands = append(b.commands, line)
	}
}

const shown = "it is shown with its output, which a test of the bridge compares"

// TestCommandBlocksAreFound, with and without a mark.
func TestCommandBlocksAreFound(t *testing.T) {
	blocks, err := commandBlocks("text\n\n    one # with words\n    two \\\n      more\n\n- an item\n    goes on\n\n" +
		"<!-- not run by tests: no cluster -->\n\n    three\n\n```yaml\na: b\n```\n\n```sh\nfour\n```\n\n    $ five\n    its output\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range blocks {
		got = append(got, fmt.Sprintf("%d %s: %s", b.line, b.notRun, strings.Join(b.commands, "; ")))
	}
	want := []string{
		"3 : one # with words; two \\\n  more", "12 no cluster: three", "18 : four", "22 " + shown + ": $ five; its output",
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("it finds\n%q, want\n%q", got, want)
	}
	const mark = "<!-- not run by tests: why -->\n"
	for _, text := range []string{mark + "\ntext\n", mark, "```sh\nx\n"} {
		if _, err := commandBlocks(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// shell runs commands in a folder of their own.
type shell struct {
	t        *testing.T
	root     string // of the folder
	dir      string // where commands are run
	env      []string
	replaces []string // pairs, as [strings.NewReplacer] has them
	stdin    string
	running  []*serving
}

// serving is a command that goes on until it is ended.
type serving struct {
	command string
	cmd     *exec.Cmd
	output  testkit.Log
	exited  chan struct{}
	err     error // once it has exited
}

func newShell(t *testing.T, d *commandDocument) *shell {
	t.Helper()
	s := &shell{t: t, root: t.TempDir()}
	s.dir = filepath.Join(s.root, filepath.FromSlash(d.in))
	project, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range d.copies {
		if err := os.CopyFS(filepath.Join(s.root, folder), os.DirFS(filepath.Join(project, folder))); err != nil {
			t.Fatal(err)
		}
	}
	bin, home := filepath.Join(s.root, "bin"), filepath.Join(s.root, "home")
	for name, path := range map[string]string{
		"messaging-kafka": testkit.Program(t), "wasmtime": testkit.Wasmtime(t), "wac": testkit.Wac(t),
	} {
		link(t, path, bin, name)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, shim := range []string{"handler", "processor", "messaging", "producer", "consumer", "config"} {
		testkit.ShimWasm(t, shim)
	}
	link(t, filepath.Join(cache, "messaging-kafka"), home, ".cache/messaging-kafka")
	own, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=",
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"CARGO_TARGET_DIR="+filepath.Join(cache, "messaging-kafka", "shims-test"))
	for variable, folder := range map[string]string{"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"} {
		if os.Getenv(variable) == "" {
			s.env = append(s.env, variable+"="+filepath.Join(own, folder))
		}
	}
	t.Cleanup(s.end)
	return s
}

// with has texts in commands, and in files that are written from here on, replaced.
func (s *shell) with(pairs ...string) { s.replaces = append(s.replaces, pairs...) }

func (s *shell) replaced(text string) string { return strings.NewReplacer(s.replaces...).Replace(text) }

// rewrite replaces texts in a file below the folder, and puts more before it.
func (s *shell) rewrite(path, before string) {
	s.t.Helper()
	path = filepath.Join(s.root, filepath.FromSlash(path))
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	writeFile(s.t, path, before+s.replaced(string(content)))
}

// goesOn tells whether a command serves until it is ended.
func goesOn(command string) bool {
	return strings.HasPrefix(command, "wasmtime serve ") ||
		strings.HasPrefix(command, "messaging-kafka bridge --config ") && !strings.Contains(command, " --once")
}

// do runs a command, and fails the test where that fails. One that serves goes on.
func (s *shell) do(command string) {
	s.t.Helper()
	if goesOn(command) {
		s.serve(command)
		return
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*testkit.DefaultTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", s.replaced(command))
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(s.stdin)
	if said, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", command, err, said)
	}
}

func (s *shell) serve(command string) {
	s.t.Helper()
	r := &serving{command: command, exited: make(chan struct{})}
	r.cmd = exec.Command("bash", "-c", "exec "+s.replaced(command))
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = s.dir, s.env, &r.output, &r.output
	if err := r.cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
	go func() {
		defer close(r.exited)
		r.err = r.cmd.Wait()
	}()
	s.running = append(s.running, r)
}

// await waits until something holds, and fails the test where what serves ends meanwhile.
func (s *shell) await(check func() error) {
	s.t.Helper()
	testkit.Eventually(s.t, testkit.DefaultTimeout, func() error {
		for _, r := range s.running {
			select {
			case <-r.exited:
				s.t.Fatalf("%s ended: %v\n%s", r.command, r.err, r.output.String())
			default:
			}
		}
		return check()
	})
}

// end ends what serves. A bridge ends in order.
func (s *shell) end() {
	running := s.running
	s.running = nil
	for _, r := range running {
		_ = r.cmd.Process.Signal(syscall.SIGTERM) // its error says that it has ended already
		<-r.exited
		if strings.HasPrefix(r.command, "messaging-kafka ") && r.err != nil || s.t.Failed() {
			s.t.Errorf("%s ended with %v\n%s", r.command, r.err, r.output.String())
		}
	}
}

// answers waits until somebody takes connections at an address.
func (s *shell) answers(address string) {
	s.t.Helper()
	s.await(func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// healthy waits until a bridge with this admin address is.
func (s *shell) healthy(admin string) {
	s.t.Helper()
	s.await(func() error {
		code, text, err := get(s.t, "http://"+admin+"/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(text)
		}
		return err
	})
}

// wordCount has the bridge of a deployment give a sentence to word-count.
func (s *shell) wordCount(p *place, admin string) {
	s.t.Helper()
	s.healthy(admin)
	p.kc.Produce(&kgo.Record{Topic: "sentences", Value: []byte("To be, or not to be")})
	p.kc.Read("sentences.words", 4)
	p.kc.WaitDrained("bridge.sentences", "sentences")
}

// sentences is a Kafka with the topics of the deployments' bridges.
func sentences(t *testing.T) *place {
	p := newPlace(t, &frontEnd{name: "commands"})
	for _, topic := range []string{"sentences", "sentences.words", "sentences.dead"} {
		p.kc.Topic(topic, 1, nil)
	}
	return p
}

func prepareWasmtime(t *testing.T, s *shell) (before func(string), after func()) {
	p := sentences(t)
	admin, component := freeAddress(t), freeAddress(t)
	s.with("127.0.0.1:9092", p.kafka.Brokers()[0], "127.0.0.1:9464", admin, "127.0.0.1:8081", component)
	s.rewrite("deploy/wasmtime/bridge.yaml", "start: earliest\n")
	link(t, testkit.ComponentWasm(t, "word-count"), s.root, "word-count.wasm")
	return func(command string) {
		if strings.HasPrefix(command, "messaging-kafka bridge ") {
			s.answers(component)
		}
	}, func() { s.wordCount(p, admin) }
}

// prepareSpin has wasmtime serve what Spin would.
func prepareSpin(t *testing.T, s *shell) (before func(string), after func()) {
	p := sentences(t)
	admin, component := freeAddress(t), freeAddress(t)
	s.with("127.0.0.1:9092", p.kafka.Brokers()[0], "127.0.0.1:9464", admin, "127.0.0.1:3000", component)
	s.rewrite("deploy/spin/bridge.yaml", "start: earliest\n")
	link(t, testkit.ComponentWasm(t, "word-count"), s.root, "word-count.wasm")
	return func(command string) {
		if strings.HasPrefix(command, "messaging-kafka bridge ") {
			s.serve("wasmtime serve -S cli --addr " + component + " deploy/spin/word-count-http.wasm")
			s.answers(component)
		}
	}, func() { s.wordCount(p, admin) }
}

func prepareShims(t *testing.T, s *shell) (before func(string), after func()) {
	component := freeAddress(t)
	s.with("127.0.0.1:8081", component)
	for _, name := range []string{"enrich", "word-count"} {
		link(t, testkit.ComponentWasm(t, name), s.dir, name+".wasm")
	}
	for _, shim := range []string{"handler", "processor", "producer", "config"} {
		link(t, testkit.ShimWasm(t, shim), s.dir, "shim-"+shim+".wasm")
	}
	return func(string) {}, func() { s.answers(component) }
}

// prepareBridge has an application that handles all records, and the file with which the document begins.
func prepareBridge(t *testing.T, s *shell) (before func(string), after func()) {
	p := newPlace(t, &frontEnd{name: "commands"})
	for _, topic := range []string{"orders", "orders.dead"} {
		p.kc.Topic(topic, 1, nil)
	}
	app := testkit.NewHTTPApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a bridge that has gone asks again
		w.WriteHeader(http.StatusNoContent)
	}))
	s.with("kafka-0:9092,kafka-1:9092", p.kafka.Brokers()[0], "http://127.0.0.1:8080/", app.URL())
	first := yamlBlock.FindStringSubmatch(readFile(t, "docs/bridge.md"))
	if first == nil {
		t.Fatal("the document has no file")
	}
	writeFile(t, filepath.Join(s.root, "bridge.yaml"), "start: earliest\n"+s.replaced(first[1]))
	writeFile(t, filepath.Join(s.root, "nightly.yaml"), "name: nightly\nstart: earliest\n"+s.replaced(first[1]))
	link(t, testkit.ComponentWasm(t, "word-count"), s.root, "word-count.wasm")
	p.kc.ProduceText("orders", "one", "two")
	s.stdin = "To be, or not to be\n"
	return func(command string) {
		if strings.Contains(command, " --once") {
			p.kc.WaitDrained("bridge.orders", "orders")
		}
	}, func() { p.kc.WaitDrained("nightly.orders", "orders") }
}
