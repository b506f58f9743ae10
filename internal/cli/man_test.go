package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThereIsAManualPageForEachCommand(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	if got := run(t, "", nil, "man", "--out", folder); got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	for _, name := range []string{"messaging-kafka", "messaging-kafka-dev", "messaging-kafka-par-inspect",
		"messaging-kafka-check",
		"messaging-kafka-completion-bash"} {
		text, err := os.ReadFile(filepath.Join(folder, name+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, ".") && !strings.HasPrefix(line, ".TH ") && !strings.HasPrefix(line, ".SH ") &&
				!strings.HasPrefix(line, ".B ") && !strings.HasPrefix(line, ".BR ") && line != ".PP" && line != ".TP" &&
				line != ".nf" && line != ".fi" {
				t.Errorf("%s:%d: %q is taken for a request", name, i+1, line)
			}
		}
		for _, want := range []string{".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH OPTIONS\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
	}
	t.Setenv("XDG_CACHE_HOME", "")
	page := run(t, "", nil, "man", "dev")
	if page.code != exitOK || !strings.Contains(page.out, `\fB\-\-kafka\-port\fR \fIPORT\fR`) ||
		!strings.Contains(page.out, ".BR messaging\\-kafka (1)") {
		t.Errorf("the page of dev (exit %d):\n%s", page.code, page.out)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.out, strings.ReplaceAll(home, "-", `\-`)+"/") || !strings.Contains(page.out, "(default ~/") {
		t.Errorf("the page of dev names the home of whoever wrote it, or no folder under it:\n%s", page.out)
	}
	if wrong := run(t, "", nil, "man", "nothing"); wrong.code != exitUsage {
		t.Errorf("a page of no command: exit %d", wrong.code)
	}
}

func TestTheVersionIsAFlagToo(t *testing.T) {
	for _, flag := range []string{"--version", "-v"} {
		if got := run(t, "", nil, flag); got.code != exitOK || !strings.HasPrefix(got.out, "messaging-kafka ") ||
			strings.Count(got.out, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", flag, got.code, got.out+got.err)
		}
	}
}

func TestCompletionIsShown(t *testing.T) {
	if got := run(t, "", nil, "--help"); !strings.Contains(got.out, "completion ") {
		t.Errorf("the help does not name it:\n%s", got.out)
	}
	if got := run(t, "", nil, "completion", "bash"); got.code != exitOK || !strings.Contains(got.out, "complete -o") {
		t.Errorf("exit %d\n%.500s", got.code, got.out)
	}
}
