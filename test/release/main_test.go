//go:build release

// Package release tests what users download: the files that scripts/release.sh writes, and the steps of the container
// image. It fetches the tool that makes the SBOM, once.
//
// Run it with: go test -tags release ./test/release
package release

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	version = "v1.2.3"
	commit  = "0123456789abcdef0123456789abcdef01234567"
	issued  = "1700000000"
)

func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := testkit.ProjectRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// run runs a command in a folder with more variables, and returns what it said.
func run(t *testing.T, folder string, env []string, command string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// isStatic checks that a program needs nothing but a Linux kernel of that machine, and was built to be built again.
func isStatic(t *testing.T, path string, machine elf.Machine, arch string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil || len(libraries) > 0 || file.Machine != machine {
		t.Errorf("%s is for %s and needs %v (%v)", path, file.Machine, libraries, err)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			t.Errorf("%s needs a loader", path)
		}
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	if settings["GOARCH"] != arch || settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" ||
		settings["vcs.revision"] != "" {
		t.Errorf("%s was built with %v", path, settings)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{version, commit} {
		if !bytes.Contains(content, []byte(want)) {
			t.Errorf("%s does not know %s", path, want)
		}
	}
	if root := projectRoot(t); bytes.Contains(content, []byte(root+"/internal")) {
		t.Errorf("%s has paths of this machine in it", path)
	}
}

// fields cuts lines such as those of SHA256SUMS.
func fields(text string) (lines [][]string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}
