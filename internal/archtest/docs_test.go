package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// introductionLines are how long the introduction of a package is, which go doc shows first: long enough to say what
// the package is for, its main types, who uses it and what it never does; short enough to be read.
const (
	leastIntroduction = 7
	mostIntroduction  = 40
)

func TestEveryPackageIntroducesItself(t *testing.T) {
	folders := map[string]bool{}
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return fs.SkipDir
			case !entry.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				folders[filepath.Dir(path)] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(folders) < 40 {
		t.Errorf("only %d packages were found", len(folders))
	}
	for folder := range folders {
		introduced := false
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			switch doc := parsed.Doc; {
			case doc == nil:
			case filepath.Base(file) != "doc.go":
				t.Errorf("%s introduces its package: that belongs into its doc.go", file)
			default:
				introduced = true
				checkIntroduction(t, file, parsed.Name.Name, doc)
			}
		}
		if !introduced {
			t.Errorf("%s has no doc.go that introduces it: what it is for, its main types, who uses it, who owns its goroutines, "+
				"and what it never does", folder)
		}
	}
}

func checkIntroduction(t *testing.T, file, name string, doc *ast.CommentGroup) {
	t.Helper()
	begin := "Package " + name + " "
	if name == "main" {
		begin = "Command "
	}
	if !strings.HasPrefix(doc.Text(), begin) {
		t.Errorf("%s does not begin with %q", file, begin)
	}
	if lines := strings.Count(doc.Text(), "\n"); lines < leastIntroduction || lines > mostIntroduction {
		t.Errorf("%s introduces its package in %d lines; between %d and %d say what one needs to know and are read",
			file, lines, leastIntroduction, mostIntroduction)
	}
}
