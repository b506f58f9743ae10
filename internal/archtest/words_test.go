package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wordsOfLinks are what a provider calls what it carries out, and who is behind it. A bridge has routes and
// applications.
var wordsOfLinks = regexp.MustCompile(`(?i)(^|[^{\w-])(links?|components?)($|[^}\w=/(.-])`)

// spokenOfLinksAlone are texts in code of both that no bridge tells.
var spokenOfLinksAlone = map[string]string{
	"settings/declare_":             "documents and the schema, which are for both",
	"settings/role/role.go":         "interfaces of links",
	"settings/parse.go":             "a provider's own config, and settings of routes on links",
	"settings/rules_destination.go": "the word itself, where it is no route's",
	"observe/telemetry/declare.go":  "metrics, in which a route is a link",
	"observe/status/words.go":       "the words",
	"cli/check/fields.go":           "wadm manifests",
	"cli/check/manifest":            "wadm manifests",
	"cli/check/check.go":            "links whose component is not known",
}

// TestTextsOfBothFrontEndsSpeakOfNeither: what a bridge says in health, in its log, in answers and in its check names
// routes and applications. Texts of code that a provider runs, too, have words for both, take them by Words.Pick, or
// by {link} and {component} where these are put in.
func TestTextsOfBothFrontEndsSpeakOfNeither(t *testing.T) {
	texts := 0
	for _, root := range []string{
		"engine", "payload", "record", "settings", "process", "bridge", "nats", "base", "observe/admin", "observe/control",
		"observe/status", "observe/otlp", "observe/telemetry", "cli/check",
	} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for part := range spokenOfLinksAlone {
				if strings.Contains(filepath.ToSlash(path), part) {
					return nil
				}
			}
			texts += spoken(t, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 500 {
		t.Errorf("only %d texts were found", texts)
	}
}

// spoken looks at the texts in a file, which have spaces in them.
func spoken(t *testing.T, path string) (texts int) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if called, ok := call.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "Pick" {
				return false
			}
		}
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil || !strings.Contains(text, " ") {
			return true
		}
		texts++
		if found := wordsOfLinks.FindStringSubmatch(text); found != nil {
			t.Errorf("%s: %q says %s, and a bridge may tell it", set.Position(literal.Pos()), text, found[2])
		}
		return true
	})
	return texts
}
