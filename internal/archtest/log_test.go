package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// logged is a key of the log, or a message, with where it stands.
type logged struct {
	text string
	at   token.Position
}

// logMethods are the methods that write a line, with how many arguments come before its keys.
var logMethods = map[string]int{
	"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "warnSeldom": 1,
	"DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2,
	"Log": 3, "With": 0,
}

// readLog finds what the program logs: messages and keys that stand as texts in calls of a logger, and keys in a list
// of arguments for one. Keys of an slog.GroupValue are those of a group: the settings of a link, and the data of a
// host.
func readLog(t *testing.T) (messages, keys []logged) {
	t.Helper()
	set := token.NewFileSet()
	text := func(e ast.Expr) (logged, bool) {
		literal, ok := e.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return logged{}, false
		}
		unquoted, err := strconv.Unquote(literal.Value)
		return logged{text: unquoted, at: set.Position(e.Pos())}, err == nil
	}
	addKeys := func(arguments []ast.Expr) {
		for i := 0; i+1 < len(arguments); i += 2 {
			if key, ok := text(arguments[i]); ok {
				keys = append(keys, key)
			}
		}
	}
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && slices.Contains([]string{"testdata", "testkit", "archtest"}, entry.Name()):
				return fs.SkipDir
			case entry.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					called, ok := n.Fun.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if of, ok := called.X.(*ast.Ident); ok && of.Name == "http" {
						return true // http.Error is another's
					}
					before, ok := logMethods[called.Sel.Name]
					if !ok || len(n.Args) < before {
						return true
					}
					if before > 0 {
						if message, ok := text(n.Args[before-1]); ok {
							messages = append(messages, message)
						}
					}
					addKeys(n.Args[before:])
				case *ast.CompositeLit: // []any{"topic", …}
					list, ok := n.Type.(*ast.ArrayType)
					if !ok {
						return true
					}
					if of, ok := list.Elt.(*ast.Ident); ok && of.Name == "any" {
						addKeys(n.Elts)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(messages) < 100 || len(keys) < 200 {
		t.Fatalf("only %d messages and %d keys were found", len(messages), len(keys))
	}
	return messages, keys
}

var keyRow = regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\| .+ \\|$")

// Who searches a log knows its keys by the table of them: one word for one thing, and none that is not there.
func TestKeysOfTheLogAreThoseOfTheTable(t *testing.T) {
	const file, heading = "../../docs/operations.md", "\n### Keys of log lines\n"
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(whole), heading)
	if !ok {
		t.Fatalf("%s has no heading %q", file, strings.TrimSpace(heading))
	}
	table, _, _ = strings.Cut(table, "\n#")
	told := map[string]bool{}
	for _, row := range keyRow.FindAllStringSubmatch(table, -1) {
		for _, span := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			if told[span[1]] {
				t.Errorf("the table of keys in %s has %s twice", file, span[1])
			}
			told[span[1]] = true
		}
	}
	_, keys := readLog(t)
	used := map[string]bool{}
	for _, key := range keys {
		used[key.text] = true
		if !told[key.text] {
			t.Errorf("%s: the log's key %q is not in the table of keys in %s: use a word that is, or add it", key.at, key.text, file)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if !used[key] {
			t.Errorf("the table of keys in %s has %s, and nothing logs it", file, key)
		}
	}
}

func TestMessagesOfTheLogBeginSmall(t *testing.T) {
	messages, _ := readLog(t)
	for _, m := range messages {
		if first := []rune(m.text + " ")[0]; !unicode.IsLower(first) {
			t.Errorf("%s: the message %q does not begin with a small letter", m.at, m.text)
		}
		if strings.HasSuffix(m.text, ".") {
			t.Errorf("%s: the message %q ends with a full stop", m.at, m.text)
		}
	}
}
