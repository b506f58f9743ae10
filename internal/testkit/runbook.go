package testkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`\n]+)`")

// InRunbook fails the test where docs/operations.md does not quote, below a heading, what the program says: whoever
// looks for a message there is to find it. A quote may have … in the place of what differs from case to case.
func InRunbook(t testing.TB, heading, said string) {
	t.Helper()
	root, err := ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("the runbook has no entry %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n### ")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range quoted.FindAllStringSubmatch(section, -1) {
		if len(strings.Fields(m[1])) < 3 {
			continue // a name
		}
		parts := strings.Split(m[1], "…")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(strings.TrimSpace(part))
		}
		if regexp.MustCompile(strings.Join(parts, ".*")).MatchString(said) {
			return
		}
	}
	t.Errorf("the entry %q of the runbook does not quote: %s", heading, said)
}
