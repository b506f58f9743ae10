package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines bounds files outside of tests. One that grows beyond it holds more than one idea.
const maxLines = 600

func TestFilesStayShort(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "dist" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if lines := bytes.Count(text, []byte{'\n'}); lines > maxLines {
			t.Errorf("%s has %d lines; %d is the most", strings.TrimPrefix(path, root+"/"), lines, maxLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were found below %s", files, root)
	}
}

// Components that others copy bring the WIT package along.
func TestCopiesOfTheWITPackageAreCopies(t *testing.T) {
	const root = "../.."
	want, err := os.ReadFile(filepath.Join(root, "wit", "records.wit"))
	if err != nil {
		t.Fatal(err)
	}
	copies, err := filepath.Glob(filepath.Join(root, "examples", "*", "wit", "deps", "records", "records.wit"))
	if err != nil {
		t.Fatal(err)
	}
	if len(copies) == 0 {
		t.Error("no example has a copy of the WIT package")
	}
	for _, path := range copies {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from wit/records.wit: copy it anew", path)
		}
	}
}
