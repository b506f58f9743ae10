package telemetry

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit/generated"
)

func TestDocsAreUpToDate(t *testing.T) {
	generated.Part(t, "../../../docs/metrics.md", markdown())
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

// markdown returns the tables of all metrics, as docs/metrics.md holds them.
func markdown() string {
	var b strings.Builder
	section := ""
	for _, d := range declared {
		if d.section != section {
			section = d.section
			fmt.Fprintf(&b, "\n## %s\n\n| Metric | Type | Labels | What it says | A bad value |\n|---|---|---|---|---|\n",
				section)
		}
		labels := "none"
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		bad := d.bad
		if bad == "" {
			bad = "None by itself."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.name, d.kind, labels, cell(d.help), cell(bad))
	}
	return b.String()
}

// cell keeps a text within its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
