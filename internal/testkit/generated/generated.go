package generated

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is generated into the documents")

const begin, end = "<!-- begin: generated -->\n", "<!-- end: generated -->\n"

// Part fails where the part of a file between its marks is another than text. With -update it writes that first.
func Part(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no part between %q and %q", path, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	want := before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after
	if string(content) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: make docs", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
