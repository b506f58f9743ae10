package settings

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/settings.md")

// docsFile is seen from this package's folder, where go test runs.
var docsFile = filepath.Join("..", "..", "docs", "settings.md")

func TestDocsAreUpToDate(t *testing.T) {
	want := Markdown()
	if *update {
		if err := os.MkdirAll(filepath.Dir(docsFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("docs/settings.md is stale: run go test ./internal/settings -run Docs -update")
	}
}

func TestEveryDeclarationIsComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	taken := make(map[string]string) // spellings elsewhere, and whose they are
	inOrder(func(s *setting) {
		t.Run(s.name, func(t *testing.T) {
			if !name.MatchString(s.name) || canonical(s.name) != s.name {
				t.Error("the name is not lower case with underscores")
			}
			if !strings.HasSuffix(s.doc, ".") {
				t.Errorf("the documentation %q is no full sentence", s.doc)
			}
			if s.value.kind == "" || s.value.set == nil {
				t.Error("there is no type")
			}
			if s.def != "" {
				if err := s.value.set(&draft{}, s.def); err != nil {
					t.Errorf("the default is refused: %v", err)
				}
			}
			if (s.example == "") != s.sensitive {
				t.Error("an example is for settings that are not sensitive, and all of those")
			}
			for example := range strings.SplitSeq(s.example, "\n") {
				if example == "" || strings.HasSuffix(example, "…") {
					continue
				}
				if example == s.def {
					t.Errorf("the example %q shows the default", example)
				}
				if err := s.value.set(&draft{}, example); err != nil {
					t.Errorf("the example %q is refused: %v", example, err)
				}
			}
			for _, word := range s.value.words {
				if err := s.value.set(&draft{}, word); err != nil {
					t.Errorf("the word %q is refused: %v", word, err)
				}
			}
			spellings := s.hints
			if s.kafka != "" && canonical(s.kafka) != s.name {
				spellings = append(spellings, canonical(s.kafka))
			}
			for _, spelling := range spellings {
				if declared[spelling] != nil {
					t.Errorf("%s is itself a setting", spelling)
				}
				if other, twice := taken[spelling]; twice {
					t.Errorf("%s is said to mean %s, too", spelling, other)
				}
				if canonical(spelling) != spelling {
					t.Errorf("the spelling %q will never be met", spelling)
				}
				taken[spelling] = s.name
			}
		})
	})
}

func TestDocsTableHasFiveCellsInEveryRow(t *testing.T) {
	bar := regexp.MustCompile(`[^\\]\|`)
	rows := 0
	for line := range strings.SplitSeq(Markdown(), "\n") {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		rows++
		if n := len(bar.FindAllString(line, -1)); n != 5 && line != "|---|---|---|---|---|" {
			t.Errorf("row with %d cells: %s", n, line)
		}
	}
	if rows < len(declared) {
		t.Errorf("%d rows for %d settings", rows, len(declared))
	}
}
