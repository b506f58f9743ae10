package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// A patch that does not apply any more brings nothing back.
func TestEachKnownFaultCanBeBroughtBack(t *testing.T) {
	const root = "../../.."
	patches, err := filepath.Glob(filepath.Join(root, faults, "*.patch"))
	if err != nil {
		t.Fatal(err)
	}
	if len(patches) == 0 {
		t.Fatal("there is no patch")
	}
	for _, patch := range patches {
		absolute, err := filepath.Abs(patch)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("git", "apply", "--check", absolute)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(patch), err, out)
		}
	}
}
