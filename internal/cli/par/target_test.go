package par

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestCommitTimeIsReadFromGoBinaries(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module probe\n", "main.go": "package main\n\nfunc main() {}\n", "script": "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GOWORK=off", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
			"GIT_COMMITTER_DATE=2025-03-04T05:06:07Z", "GIT_AUTHOR_DATE=2025-03-04T05:06:07Z")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("git", "init", "-q")
	run("git", "add", "go.mod", "main.go")
	run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "a commit")
	run("go", "build", "-buildvcs=true", "-o", "stamped", ".")
	run("go", "build", "-buildvcs=false", "-o", "bare", ".")

	binary := func(name string) Binary { return Binary{"x86_64-linux", filepath.Join(folder, name)} }
	want := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	if at, ok := CommitTime([]Binary{binary("script"), binary("stamped"), binary("bare")}); !ok || !at.Equal(want) {
		t.Errorf("time %s (%t), want %s", at, ok, want)
	}
	if at, ok := CommitTime([]Binary{binary("script"), binary("bare"), binary("missing")}); ok {
		t.Errorf("binaries without a commit time gave %s", at)
	}
}
