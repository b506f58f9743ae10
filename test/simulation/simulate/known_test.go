package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A patch that does not apply any more, or does not compile, brings nothing back.
func TestEachKnownFaultCanBeBroughtBack(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	patches, err := filepath.Glob(filepath.Join(root, faults, "*.patch"))
	if err != nil {
		t.Fatal(err)
	}
	if len(patches) < 14 {
		t.Fatalf("there are %d patches", len(patches))
	}
	for left := patches; len(left) > 0; {
		left = compileTogether(t, root, left)
	}
}

// compileTogether applies patches to copies of the files that they are of, as many as apply together, compiles these in
// the place of the files, and returns the other patches.
func compileTogether(t *testing.T, root string, patches []string) (left []string) {
	t.Helper()
	folder := t.TempDir()
	replace := make(map[string]string)
	for i, patch := range patches {
		for _, file := range filesOf(t, patch) {
			if replace[filepath.Join(root, file)] != "" {
				continue
			}
			source, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(folder, file)
			if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, source, 0o600); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(root, file)] = copied
		}
		cmd := exec.Command("git", "apply", patch)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil && len(left) == 0 && i == 0 {
			t.Errorf("%s does not apply: %v\n%s", filepath.Base(patch), err, out)
		} else if err != nil {
			left = append(left, patch)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "./internal/engine/...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with the patches but for %v: %v\n%s", left, err, out)
	}
	return left
}

// filesOf are the files that a patch changes.
func filesOf(t *testing.T, patch string) (files []string) {
	t.Helper()
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if file, ok := strings.CutPrefix(line, "+++ b/"); ok {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		t.Fatalf("%s changes no file", filepath.Base(patch))
	}
	return files
}
