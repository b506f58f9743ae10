package settings

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit/generated"
)

func TestDocsAreUpToDate(t *testing.T) { generated.Part(t, "../../docs/settings.md", markdown()) }

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
	for line := range strings.SplitSeq(markdown(), "\n") {
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

// markdown returns the tables of all settings, as docs/settings.md holds them.
func markdown() string {
	var b strings.Builder
	for _, part := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		if part.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", part.intro)
		}
		b.WriteString("| Setting | Default | Type | Example | What it does |\n|---|---|---|---|---|\n")
		for i := range part.settings {
			s := &part.settings[i]
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.docName(), s.docDefault(), s.docType(),
				s.docExample(), s.docText())
		}
	}
	return b.String()
}

// cell keeps a text within its cell of a table. A bar ends a cell even within code.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func code(text string) string { return "`" + cell(text) + "`" }

func (s *setting) docName() string {
	name := code(s.name)
	switch s.scope {
	case scopeLink:
		name += " *(link)*"
	case scopeProvider:
		name += " *(provider)*"
	case scopeRoute:
		name += " *(route)*"
	case scopeBoth:
	}
	if s.sensitive {
		name += " *(secret)*"
	}
	return name
}

func (s *setting) docDefault() string {
	switch {
	case s.defDoc != "":
		return cell(s.defDoc)
	case s.def != "":
		return code(s.def)
	}
	return "none"
}

func (s *setting) docType() string {
	if len(s.value.words) == 0 {
		return cell(s.value.kind)
	}
	words := make([]string, len(s.value.words))
	for i, w := range s.value.words {
		words[i] = code(w)
	}
	return strings.Join(words, ", ")
}

func (s *setting) docExample() string {
	if s.example == "" {
		return ""
	}
	var examples []string
	for example := range strings.SplitSeq(s.example, "\n") {
		examples = append(examples, code(example))
	}
	return strings.Join(examples, ", ")
}

func (s *setting) docText() string {
	if s.kafka == "" {
		return cell(s.doc)
	}
	return cell(s.doc) + " Kafka's " + code(s.kafka) + "."
}
