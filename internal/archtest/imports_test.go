package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is what every import path of the project begins with: the module's path, which go.mod alone says.
var root = sync.OnceValue(func() string {
	out, err := exec.Command("go", "list", "-m").Output()
	if err != nil {
		panic(fmt.Sprintf("asking for the module's path: %v", err))
	}
	return strings.TrimSpace(string(out)) + "/"
})

// Beginnings of import paths of what the wings stand on.
var (
	kafkaClient = []string{"github.com/twmb/franz-go"}
	natsClient  = []string{"github.com/nats-io/"}
)

// wings are the folders of internal, each with what it may import of the others. What is not named here may not be
// imported; inside of a wing any package may import another, as far as rules let it.
var wings = []struct {
	name string
	may  []string
}{
	{name: "base"},
	{name: "record", may: []string{"base"}},
	{name: "settings", may: []string{"base", "record"}},
	{name: "payload", may: []string{"base", "record", "settings"}},
	{name: "observe", may: []string{"base", "record", "settings", "payload"}},
	{name: "engine", may: []string{"base", "record", "settings", "payload", "observe"}},
	{name: "process", may: []string{"base", "settings", "observe", "engine"}},
	{name: "nats"},
	{name: "wasmcloud", may: []string{"base", "record", "settings", "payload", "observe", "engine", "process", "nats"}},
	{name: "bridge", may: []string{"base", "record", "settings", "payload", "observe", "engine", "process", "nats"}},
	{name: "cli", may: []string{"base", "record", "settings", "payload", "observe", "engine", "process", "nats", "wasmcloud", "bridge"}},
	// Helpers of tests stand beside the house; testkit/rpc pairs two ends of wRPC.
	{name: "testkit", may: []string{"wasmcloud"}},
	{name: "archtest"},
}

// rules say what packages must not depend on, neither by themselves nor through others. A package stands for those
// below it, too.
var rules = []struct {
	name     string
	packages []string
	never    []string
}{
	{
		name:     "what all wings stand on knows neither Kafka's client nor NATS",
		packages: []string{"base", "record", "settings", "payload"},
		never:    slices.Concat(kafkaClient, natsClient),
	},
	// Telemetry has the hooks of Kafka's client.
	{name: "what is to be seen knows no NATS", packages: []string{"observe"}, never: natsClient},
	{
		name: "the engine knows no NATS, no front-end and no server", packages: []string{"engine"},
		never: slices.Concat(natsClient, own("wasmcloud", "bridge", "observe/admin")),
	},
	{name: "what surrounds routes knows no NATS and no front-end", packages: []string{"process"}, never: slices.Concat(natsClient, own("wasmcloud", "bridge"))},
	{name: "the bridge knows nothing of the lattice", packages: []string{"bridge"}, never: own("wasmcloud")},
	{
		name:     "the bridge's file and its sides of HTTP know no NATS",
		packages: []string{"bridge/config", "bridge/httpin", "bridge/httpout"}, never: natsClient,
	},
	{name: "the dispatcher knows no Kafka client", packages: []string{"engine/dispatch"}, never: kafkaClient},
	{
		name: "the lattice's side of the front-end knows no Kafka",
		packages: []string{"wasmcloud/hostdata", "wasmcloud/lattice", "wasmcloud/wrpc",
			"wasmcloud/guest", "wasmcloud/messaging", "wasmcloud/records"},
		never: slices.Concat(kafkaClient, own("engine")),
	},
	{name: "nothing that runs knows the helpers of tests", packages: []string{"cli"}, never: own("testkit", "archtest")},
}

func own(names ...string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = root() + "internal/" + name
	}
	return paths
}

// pkg is what go list says of a package, its tests left out.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list returns the packages of the module and all that they depend on.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	packages, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// listed asks go list once for all tests: nothing changes the code meanwhile.
var listed = sync.OnceValues(func() (map[string]pkg, error) {
	var errOut bytes.Buffer
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps", root()+"...")
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w\n%s", err, &errOut)
	}
	packages := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("reading the output of go list: %w", err)
		}
		packages[p.ImportPath] = p
	}
})

// isOrIsIn tells whether an import path is prefix or lies below it.
func isOrIsIn(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// below are the packages of a folder of internal.
func below(packages map[string]pkg, name string) []pkg {
	var found []pkg
	for path, p := range packages {
		if isOrIsIn(path, root()+"internal/"+name) {
			found = append(found, p)
		}
	}
	return found
}

// wingOf is the folder of internal that a package lies in, "" where it lies elsewhere.
func wingOf(path string) string {
	rest, ok := strings.CutPrefix(path, root()+"internal/")
	if !ok {
		return ""
	}
	wing, _, _ := strings.Cut(rest, "/")
	return wing
}

func TestWingsImportDownwards(t *testing.T) {
	packages := list(t)
	may := map[string][]string{}
	for _, wing := range wings {
		may[wing.name] = append(wing.may, wing.name)
		if len(below(packages, wing.name)) == 0 {
			t.Errorf("there is no package in internal/%s: mend the list", wing.name)
		}
	}
	for path, p := range packages {
		from := wingOf(path)
		if from == "" {
			continue
		}
		if may[from] == nil {
			t.Errorf("%s is in no wing that the list knows", path)
			continue
		}
		for _, imported := range p.Imports {
			if to := wingOf(imported); to != "" && !slices.Contains(may[from], to) {
				t.Errorf("%s imports %s: internal/%s must not know internal/%s", path, imported, from, to)
			}
		}
	}
}

func TestPackagesKeepToTheirSide(t *testing.T) {
	packages := list(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, name := range rule.packages {
				found := below(packages, name)
				if len(found) == 0 {
					t.Errorf("there is no package internal/%s: mend the rule", name)
				}
				for _, p := range found {
					for _, dep := range p.Deps {
						if slices.ContainsFunc(rule.never, func(never string) bool { return isOrIsIn(dep, never) }) {
							t.Errorf("%s depends on %s: %s", p.ImportPath, dep, strings.Join(way(packages, p.ImportPath, dep), " -> "))
						}
					}
				}
			}
		})
	}
}

// entries are the packages of the engine by which front-ends enter it: routes, and the words in which publishing fails.
var entries = []string{"engine/route", "engine/produce"}

func TestFrontEndsEnterTheEngineByRoutes(t *testing.T) {
	packages := list(t)
	held := below(packages, "process")
	for _, w := range wings {
		// Whatever stands on process is a front-end, but for the commands, which start them.
		if slices.Contains(w.may, "process") && w.name != "cli" {
			held = append(held, below(packages, w.name)...)
		}
	}
	for _, p := range held {
		for _, imported := range p.Imports {
			kafka := slices.ContainsFunc(kafkaClient, func(client string) bool { return isOrIsIn(imported, client) })
			if kafka || wingOf(imported) == "engine" && !slices.Contains(own(entries...), imported) {
				t.Errorf("%s imports %s: a front-end knows Kafka by %s alone", p.ImportPath, imported,
					strings.Join(entries, " and "))
			}
		}
	}
	for _, p := range below(packages, "engine/route") {
		if slices.Contains(p.Imports, "net/http") {
			t.Errorf("%s imports net/http: what is served belongs to a front-end", p.ImportPath)
		}
	}
}

// way finds the shortest chain of imports from one package to another, so that a broken rule names its import.
func way(packages map[string]pkg, from, to string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var chain []string
			for at := to; at != ""; at = before[at] {
				chain = append(chain, at)
			}
			slices.Reverse(chain)
			return chain
		}
		for _, next := range packages[queue[0]].Imports {
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return []string{from, "?", to}
}

func TestOnlyTestsImportTheHelpersOfTests(t *testing.T) {
	testkit := root() + "internal/testkit"
	for path, p := range list(t) {
		// The suites below test/ and the benchmark are tests, whatever their files are named.
		if isOrIsIn(path, testkit) || isOrIsIn(path, root()+"test") || isOrIsIn(path, root()+"bench") {
			continue
		}
		for _, helper := range []string{testkit, "testing", "go.uber.org/goleak"} {
			if isOrIsIn(path, root()) && slices.Contains(p.Imports, helper) {
				t.Errorf("%s imports %s outside of its tests", path, helper)
			}
		}
	}
}
