package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit/generated"
)

func TestDocsAreUpToDate(t *testing.T) { generated.Part(t, "../../../docs/bridge.md", tables()) }

// tables are those of the keys that are no settings.
func tables() string {
	var b strings.Builder
	for _, part := range []struct {
		intro string
		keys  []key
	}{
		{"Above the routes, beside the settings of the process and what routes have in common:", topKeys},
		{"Below `callers.NAME`:", callerKeys},
	} {
		fmt.Fprintf(&b, "%s\n\n| Key | Default | Type | Example | What it does |\n|---|---|---|---|---|\n", part.intro)
		for _, k := range part.keys {
			name, example := "`"+k.name+"`", ""
			if k.secret {
				name += " *(secret)*"
			}
			if k.example != "" {
				example = "`" + k.example + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, k.def, k.kind, example, k.doc)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestEveryKeyIsReadAsItIsDeclared: its example and its words are taken, by the key itself.
func TestEveryKeyIsReadAsItIsDeclared(t *testing.T) {
	for _, keys := range [][]key{topKeys, callerKeys} {
		for _, k := range keys {
			t.Run(k.name, func(t *testing.T) {
				if !strings.HasSuffix(k.doc, ".") || k.kind == "" || k.def == "" {
					t.Errorf("it is not declared as a whole: %+v", k)
				}
				if k.set == nil {
					return
				}
				for _, v := range append([]string{k.example}, k.words...) {
					if err := k.set(&Config{}, &Caller{}, v); err != nil {
						t.Errorf("%q is refused: %v", v, err)
					}
				}
			})
		}
	}
}
