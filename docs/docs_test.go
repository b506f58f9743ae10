// Package docs holds the documents, and the test that what they say of the program is so.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const root = ".."

// documents are all that are for users.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("the documents are %v (%v)", files, err)
	}
	return append(files, filepath.Join(root, "README.md"))
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fenced     = regexp.MustCompile("(?ms)^```.*?^```$")
	indented   = regexp.MustCompile(`(?m)^    .*$`)
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	reference  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// prose is a document without its blocks of code.
func prose(text string) string {
	return indented.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
}

// codes are the spans of code in the prose.
func codes(text string) (spans []string) {
	for _, m := range inlineCode.FindAllStringSubmatch(prose(text), -1) {
		spans = append(spans, m[1])
	}
	return spans
}

// anchor is what GitHub makes of a heading.
func anchor(title string) string {
	title = strings.ToLower(strings.ReplaceAll(title, "`", ""))
	title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(title, "")
	return strings.ReplaceAll(title, " ", "-")
}

func TestReferencesLeadSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range reference.FindAllStringSubmatch(prose(read(t, file)), -1) {
			target, place, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s leads to %s: %v", file, m[1], err)
				continue
			}
			if place == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(read(t, path), -1) {
				anchors = append(anchors, anchor(h[1]))
			}
			if !slices.Contains(anchors, place) {
				t.Errorf("%s leads to %s, and there is no such heading", file, m[1])
			}
		}
	}
}

// texts are all texts in the code that runs; those that are put together with + are one.
var texts = sync.OnceValues(func() ([]string, error) {
	var all []string
	fileSet := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fileSet, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			expression, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			if text := textOf(expression); text != "" {
				all = append(all, text)
				return false
			}
			return true
		})
		return nil
	})
	return all, err
})

// textOf is the text of a literal, or of a sum with one in it, in which other parts are \0; else "".
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			if text, err := strconv.Unquote(e.Value); err == nil {
				return text
			}
		}
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return ""
		}
		left, right := textOf(e.X), textOf(e.Y)
		switch {
		case left != "" && right != "":
			return left + right
		case left != "":
			return left + "\x00"
		case right != "":
			return "\x00" + right
		}
	}
	return ""
}

func allTexts(t *testing.T) []string {
	t.Helper()
	all, err := texts()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// tools are what spans of code begin with that are commands and not messages.
var tools = []string{"messaging-kafka", "wash", "kafka-consumer-groups.sh", "kafka-acls.sh", "kafka-transactions.sh",
	"kill", "perf", "kubectl", "make", "go", "docker"}

func TestQuotedMessagesAreTheProvidersOwn(t *testing.T) {
	quoted := 0
	for _, span := range codes(read(t, "operations.md")) {
		words := strings.Fields(span)
		if len(words) < 3 || slices.Contains(tools, words[0]) {
			continue
		}
		quoted++
		for part := range strings.SplitSeq(span, "…") {
			part = strings.Trim(part, " :,;()")
			if said(t, part) {
				continue
			}
			// A cause after what was being done is put together while the program runs.
			for link := range strings.SplitSeq(part, ": ") {
				if !said(t, link) {
					t.Errorf("the program never says %q (of `%s`)", link, span)
				}
			}
		}
	}
	if quoted < 60 {
		t.Errorf("only %d messages are looked at", quoted)
	}
}

// said tells whether a text of the program holds part; what is very short says nothing.
func said(t *testing.T, part string) bool {
	t.Helper()
	return len(part) < 6 || slices.ContainsFunc(allTexts(t),
		func(text string) bool { return strings.Contains(text, part) })
}

// problemKinds are the constants of package status that tell what a problem is about, by their names.
func problemKinds(t *testing.T) map[string]status.ProblemKind {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/observe/status/problem.go"), nil,
		parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]status.ProblemKind)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "ProblemKind" {
			return true
		}
		for i, name := range spec.Names {
			kinds[name.Name] = status.ProblemKind(textOf(spec.Values[i]))
		}
		return true
	})
	if len(kinds) < 15 {
		t.Fatalf("only %d kinds of problems are found", len(kinds))
	}
	return kinds
}

func TestEveryStateAndKindOfProblemHasItsSection(t *testing.T) {
	var anchors []string
	for _, h := range heading.FindAllStringSubmatch(read(t, "operations.md"), -1) {
		anchors = append(anchors, anchor(h[1]))
	}
	sections := status.Runbook()
	all := []string{sections.Other, sections.Failures, sections.DeadLetters, sections.Lag}
	for name, kind := range problemKinds(t) {
		section := sections.Problems[kind]
		if section == "" {
			t.Errorf("%s has no section of operations.md: give it one in internal/observe/status/runbook.go", name)
		}
		all = append(all, section)
	}
	for _, state := range status.States {
		section := sections.States[state]
		if (section == "") != (state == status.Healthy) {
			t.Errorf("the state %s has the section %q of operations.md: internal/observe/status/runbook.go gives it", state, section)
		}
		all = append(all, section)
	}
	for _, section := range all {
		if section != "" && !slices.Contains(anchors, section) {
			t.Errorf("operations.md#%s is no section", section)
		}
	}
}

var snakeCase = regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)+$`)

// foreign are names, and beginnings of names, that are others': metrics of libraries, CloudEvents' headers in Kafka, a
// permission of NATS, settings of consumers of JetStream.
var foreign = []string{"process_", "go_", "ce_", "allow_responses", "max_ack_pending", "deliver_policy",
	"deliver_subject", "deliver_group", "admission_wait",
}

func TestSettingsAndMetricsInDocumentsExist(t *testing.T) {
	known := read(t, "settings.md")
	for _, file := range documents(t) {
		text := read(t, file)
		for _, span := range codes(text) {
			name, _, _ := strings.Cut(span, "=")
			switch {
			case !snakeCase.MatchString(name):
			case strings.HasPrefix(name, "messaging_kafka_"):
				// Below, wherever it stands.
			case slices.Contains(foreign, name), slices.ContainsFunc(foreign, func(prefix string) bool {
				return strings.HasSuffix(prefix, "_") && strings.HasPrefix(name, prefix)
			}):
			case strings.Contains(known, "| `"+name+"`"):
			case !slices.ContainsFunc(allTexts(t), func(text string) bool { return strings.Contains(text, name) }):
				t.Errorf("%s speaks of %q, which nothing knows", file, name)
			}
		}
		for _, name := range regexp.MustCompile(`messaging_kafka_[a-z_]*[a-z]`).FindAllString(text, -1) {
			name = strings.TrimPrefix(name, "messaging_kafka_")
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
			if !slices.Contains(allTexts(t), name) {
				t.Errorf("%s speaks of the metric %q, which there is not", file, name)
			}
		}
	}
}

func TestMakeTargetsInDocumentsExist(t *testing.T) {
	makefile := read(t, filepath.Join(root, "Makefile"))
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^    (?:\\$ )?|`)make ([a-z-]+)").FindAllStringSubmatch(read(t, file),
			-1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no target %s", file, m[1])
			}
		}
	}
}

// testName is a test that a document names, with its folder and the parts of it that are meant.
var testName = regexp.MustCompile(`^([a-z0-9]+)\.((?:Test|Fuzz)[A-Za-z0-9_]+)((?:/[A-Za-z0-9_]+)*)$`)

// testFunctions are the tests of the tree, by their folders and names, with the texts of their files.
func testFunctions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	for _, top := range []string{"internal", "test", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text := read(t, path)
			for _, m := range function.FindAllStringSubmatch(text, -1) {
				found[filepath.Base(filepath.Dir(path))+"."+m[1]] = text
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestTestsInDocumentsExist(t *testing.T) {
	functions := testFunctions(t)
	named := map[string]int{}
	for _, file := range documents(t) {
		for _, span := range codes(read(t, file)) {
			m := testName.FindStringSubmatch(span)
			if m == nil {
				if regexp.MustCompile(`\.(Test|Fuzz)[A-Z]`).MatchString(span) {
					t.Errorf("%s names `%s`, which is no name of a test", file, span)
				}
				continue
			}
			if m[2] == "TestX" {
				continue // the example
			}
			named[file]++
			text, known := functions[m[1]+"."+m[2]]
			if !known {
				t.Errorf("%s names %s, and there is no such test", file, span)
				continue
			}
			for part := range strings.SplitSeq(strings.TrimPrefix(m[3], "/"), "/") {
				// The name of a part may be put together while the test runs: its beginning is in the text.
				if part = strings.ReplaceAll(part, "_", " "); part != "" && !strings.Contains(text, `"`+part+`"`) &&
					!strings.Contains(text, `"`+part+`/`) {
					t.Errorf("%s names %s, and nothing in its file is called %q", file, span, part)
				}
			}
		}
	}
	for _, file := range []string{"security.md", "delivery.md"} { // which have tables of them
		if named[file] < 40 {
			t.Errorf("only %d names of tests in %s are looked at", named[file], file)
		}
	}
}
