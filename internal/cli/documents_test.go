package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandLine is a call of the program in a document, up to a comment, a pipe or the end.
var commandLine = regexp.MustCompile(`(?m)(?:^    |^\$ |` + "`" + `)(?:\$ )?(?:dist/)?messaging-kafka((?: [^\n` +
	"`" + `#|]+)?)`)

func TestCommandsInDocumentsExist(t *testing.T) {
	help := map[string]string{}
	ask := func(command string) string {
		if _, known := help[command]; !known {
			out, err := exec.Command(program, append(strings.Fields(command), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("there is no command %q: %v", command, err)
			}
			help[command] = string(out)
		}
		return help[command]
	}
	seen := 0
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("the documents are %v (%v)", files, err)
	}
	for _, file := range append(files, "../../README.md") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(content), "\\\n", " ")
		for _, m := range commandLine.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			if len(words) == 0 || !regexp.MustCompile(`^[a-z-]+$`).MatchString(words[0]) {
				continue // the program as a name
			}
			command := words[0]
			if len(words) > 1 && command == "par" && words[1] == "inspect" {
				command += " inspect"
			}
			if len(words) > 1 && command == "dead-letters" {
				command += " " + words[1]
			}
			known := ask(command)
			seen++
			for _, word := range words {
				flag, _, _ := strings.Cut(word, "=")
				if strings.HasPrefix(flag, "--") &&
					!regexp.MustCompile(`(?m)^ +(-\w, )?`+regexp.QuoteMeta(flag)+`\b`).MatchString(known) {
					t.Errorf("%s: messaging-kafka %s has no flag %s", file, command, flag)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands are looked at", seen)
	}
}
