package telemetry

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

var docsFile = filepath.Join("..", "..", "..", "docs", "metrics.md")

func TestDocsAreUpToDate(t *testing.T) {
	want := Markdown()
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("docs/metrics.md is stale: run go test ./internal/observe/telemetry -run Docs -update")
	}
}

// Names are as Prometheus wants them: https://prometheus.io/docs/practices/naming/.
func TestDeclarationsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	taken := make(map[string]bool)
	section := ""
	sections := make(map[string]bool)
	for _, d := range declared {
		if !name.MatchString(d.name) || taken[d.name] {
			t.Errorf("%s is no name, or taken", d.name)
		}
		taken[d.name] = true
		if (d.kind == counter) != strings.HasSuffix(d.name, "_total") {
			t.Errorf("%s is a %s", d.name, d.kind)
		}
		if (d.kind == histogram) != (len(d.buckets) > 0) {
			t.Errorf("%s is a %s with %d buckets", d.name, d.kind, len(d.buckets))
		}
		if !strings.HasSuffix(d.help, ".") || d.bad != "" && !strings.HasSuffix(d.bad, ".") {
			t.Errorf("%s is not explained in full sentences", d.name)
		}
		if d.section != section {
			if section = d.section; sections[section] {
				t.Errorf("%s is not with the others of %q", d.name, section)
			}
			sections[section] = true
		}
	}
}
