package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "messaging-kafka"
	internal = module + "/internal/"
)

// Import paths, or the beginnings of them, of what the two sides of the provider stand on.
var (
	kafkaClient = []string{"github.com/twmb/franz-go"}
	natsClient  = []string{"github.com/nats-io/"}
)

var (
	latticeSide = []string{"hostdata", "lattice", "wrpc", "guest", "messaging", "records"}
	kafkaSide   = []string{"kafka", "produce", "consume", "dispatch", "request"}
	neutral     = []string{"deadline", "record", "settings", "role", "status", "envelope", "tracing", "text", "reply", "redact", "memory"}
)

// rules say what packages must not depend on, neither by themselves nor through others.
var rules = []struct {
	name     string
	packages []string
	never    []string
}{
	{name: "the lattice's side knows no Kafka", packages: latticeSide, never: slices.Concat(kafkaClient, own(kafkaSide...))},
	{name: "Kafka's side knows no lattice", packages: kafkaSide, never: slices.Concat(natsClient, own(latticeSide...))},
	{name: "what both sides share knows neither", packages: neutral, never: slices.Concat(kafkaClient, natsClient, own(latticeSide...), own(kafkaSide...))},
	{name: "the dispatcher knows no Kafka client", packages: []string{"dispatch"}, never: slices.Concat(kafkaClient, own("kafka", "consume", "produce"))},
	{name: "parts do not know the whole", packages: slices.Concat(latticeSide, kafkaSide, neutral, []string{"telemetry", "otlp", "admin", "overview", "par", "check"}), never: own("provider", "dev", "cli")},
	{name: "the provider does not know its commands", packages: []string{"provider"}, never: own("dev", "par", "check", "cli")},
	{name: "the export of telemetry knows neither side", packages: []string{"otlp"}, never: slices.Concat(kafkaClient, natsClient, own(kafkaSide...), own("lattice", "wrpc", "guest", "messaging", "records"))},
	{name: "nothing that runs knows the helpers of tests", packages: []string{"cli"}, never: own("testkit", "archtest")},
}

func own(names ...string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = internal + name
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
	var errOut bytes.Buffer
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps", module+"/...")
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, &errOut)
	}
	packages := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("reading the output of go list: %v", err)
		}
		packages[p.ImportPath] = p
	}
}

// isOrIsIn tells whether an import path is prefix or lies below it.
func isOrIsIn(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func TestPackagesDependInTheDirectionOfTheDesign(t *testing.T) {
	packages := list(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, name := range rule.packages {
				p, ok := packages[internal+name]
				if !ok {
					t.Errorf("there is no package %s: mend the rule", internal+name)
					continue
				}
				for _, dep := range p.Deps {
					if slices.ContainsFunc(rule.never, func(never string) bool { return isOrIsIn(dep, never) }) {
						t.Errorf("%s depends on %s: %s", name, dep, strings.Join(way(packages, p.ImportPath, dep), " -> "))
					}
				}
			}
		})
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
	for path, p := range list(t) {
		// The suites below test/ and the benchmark are tests, whatever their files are named.
		if isOrIsIn(path, internal+"testkit") || isOrIsIn(path, module+"/test") || isOrIsIn(path, module+"/bench") {
			continue
		}
		for _, helper := range []string{internal + "testkit", "testing", "go.uber.org/goleak"} {
			if isOrIsIn(path, module) && slices.Contains(p.Imports, helper) {
				t.Errorf("%s imports %s outside of its tests", path, helper)
			}
		}
	}
}
