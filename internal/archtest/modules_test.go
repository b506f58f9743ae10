package archtest

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goMod is what go mod edit -json says of a go.mod.
type goMod struct {
	Module  struct{ Path string }
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct{ Old, New struct{ Path string } }
	Exclude []struct{ Path string }
	Tool    []struct{ Path string }
}

func readGoMod(t *testing.T, folder string) goMod {
	t.Helper()
	out, err := exec.Command("go", "-C", folder, "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("reading the go.mod of %s: %v", folder, err)
	}
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("reading the go.mod of %s: %v", folder, err)
	}
	return m
}

// nested are the folders with a go.mod of their own, relative to the project's.
func nested(t *testing.T) []string {
	t.Helper()
	var folders []string
	err := filepath.WalkDir("../..", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "dist", "testdata", "node_modules", "target"}, entry.Name()):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			folder, err := filepath.Rel("../..", filepath.Dir(file))
			if err != nil {
				return err
			}
			if folder != "." {
				folders = append(folders, filepath.ToSlash(folder))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// What only tests need is in modules below the program's: they see its internal packages, and test them with the very
// modules that the program is built with.
func TestModulesForTestsStandOnTheProgramAsItIsBuilt(t *testing.T) {
	program := readGoMod(t, "../..")
	if len(program.Replace)+len(program.Exclude) > 0 {
		t.Error("the go.mod of the program replaces or excludes a module: go install refuses it then")
	}
	versions := map[string]string{}
	for _, r := range program.Require {
		versions[r.Path] = r.Version
	}
	folders := nested(t)
	for _, folder := range []string{"deploy/charts", "deploy/observability", "test/page", "test/tools"} {
		if !slices.Contains(folders, folder) {
			t.Errorf("%s has no go.mod of its own (%v have)", folder, folders)
		}
	}
	for _, folder := range folders {
		m := readGoMod(t, filepath.Join("../..", folder))
		if want := path.Join(program.Module.Path, folder); m.Module.Path != want {
			t.Errorf("the module in %s is %s, want %s: elsewhere it could not import what is internal", folder,
				m.Module.Path, want)
		}
		if m.Go != program.Go {
			t.Errorf("the module in %s is for Go %s, the program's for %s", folder, m.Go, program.Go)
		}
		if len(m.Tool) > 0 {
			continue // tools choose their versions by themselves, which is why they are apart
		}
		up := strings.Repeat("../", strings.Count(folder, "/")) + ".."
		if len(m.Replace) != 1 || m.Replace[0].Old.Path != program.Module.Path || m.Replace[0].New.Path != up {
			t.Errorf("the module in %s replaces %v, want the program's by %s and nothing else", folder, m.Replace, up)
		}
		for _, r := range m.Require {
			if version, both := versions[r.Path]; both && version != r.Version {
				t.Errorf("the module in %s has %s %s, the program has %s (go -C %s get %s@%s)", folder, r.Path, r.Version, version,
					folder, r.Path, version)
			}
		}
	}
}

// What is in the program is one thing, what tests it another.
func TestTheProgramsModuleHasNothingThatOnlyAFewTestsNeed(t *testing.T) {
	for _, r := range readGoMod(t, "../..").Require {
		for _, only := range []string{"github.com/prometheus/prometheus", "github.com/chromedp/", "helm.sh/", "k8s.io/",
			"honnef.co/",
			"gotest.tools/", "golang.org/x/vuln", "golang.org/x/perf"} {
			if strings.HasPrefix(r.Path, only) {
				t.Errorf("the program's module requires %s: it belongs into a module for tests", r.Path)
			}
		}
	}
}
