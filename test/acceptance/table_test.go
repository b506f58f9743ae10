//go:build acceptance

package acceptance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var update = flag.Bool("update", false, "write the table in docs/bridge.md anew")

const (
	begin = "<!-- begin: what holds where, made by test/acceptance -->\n"
	end   = "<!-- end: what holds where -->\n"
)

// table is what holds where, and why something does not: a cell with a mark is one that TestFrontEnds has asked for.
func table() string {
	var b strings.Builder
	b.WriteString("\n| |")
	for _, fe := range frontEnds {
		b.WriteString(" " + fe.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" :-: |", len(frontEnds)) + "\n")
	var reasons []string
	for _, c := range cases {
		fmt.Fprintf(&b, "| **%s**: %s |", c.name, c.says)
		for _, fe := range frontEnds {
			why, cannot := fe.cannot[c.name]
			if !cannot {
				b.WriteString(" ✓ |")
				continue
			}
			if !slices.Contains(reasons, why) {
				reasons = append(reasons, why)
			}
			fmt.Fprintf(&b, " %d |", slices.Index(reasons, why)+1)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, why := range reasons {
		fmt.Fprintf(&b, "%d. %s%s.\n", i+1, strings.ToUpper(why[:1]), why[1:])
	}
	b.WriteString("\n")
	return b.String()
}

// TestTheTable is in the document as the suite makes it.
func TestTheTable(t *testing.T) {
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "bridge.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, has := strings.Cut(string(content), begin)
	old, after, ends := strings.Cut(rest, end)
	if !has || !ends {
		t.Fatalf("docs/bridge.md lacks %q or %q", begin, end)
	}
	if old == table() {
		return
	}
	if !*update {
		t.Fatal("the table in docs/bridge.md is not what the suite asks for: go test -tags acceptance ./test/acceptance -run TestTheTable -update")
	}
	if err := os.WriteFile(path, []byte(before+begin+table()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsLeftOutIsThere: the name of a case that is none would leave out nothing, and hide a typing error.
func TestWhatIsLeftOutIsThere(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range cases {
		names[c.name] = true
	}
	for _, fe := range frontEnds {
		for name, why := range fe.cannot {
			if !names[name] || why == "" {
				t.Errorf("%s leaves out %q: %q", fe.name, name, why)
			}
		}
	}
}
