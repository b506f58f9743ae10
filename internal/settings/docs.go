package settings

import (
	"fmt"
	"strings"
)

const docsHead = `# Settings

<!-- Generated from the declarations in internal/settings. To renew it: go test ./internal/settings -run Docs -update -->

A link has its settings in its config and its secrets, on the side that belongs to the provider: a target link (the
component calls ` + "`consumer`" + `) in its target config, a source link (the provider calls ` + "`handler`" + `) in its source config.
The provider's own config and secrets may hold the same settings as defaults for all links, so that ten links need not
repeat the cluster.

**Which value counts.** The first of: a secret of the link, the config of the link, a secret of the provider, the
config of the provider, the default. Any setting may be given as a secret; those marked *secret* should be, and in
plain config they cause a warning.

**Keys.** Case does not matter, nor do spaces around a key. Dashes and dots count as underscores:
` + "`security.protocol`" + ` is ` + "`security_protocol`" + `. A key that is given twice in two spellings is an error.

**Values.** Spaces around a value do not count, except in passwords.

- A *duration* has a unit: ` + "`500ms`, `30s`, `5m`, `12h`, `7d`, `1h30m`" + `. A bare number is refused, since Kafka's own numbers
  are mostly milliseconds.
- A *size* is a number of bytes, or a number with a unit: ` + "`512k`, `1MiB`, `2G`" + `. All units count in 1024.
- A *list* is separated by commas; spaces, empty parts and repetitions do not count.
- *true* may be written ` + "`yes`, `on` or `1`, *false* `no`, `off` or `0`" + `. Words may be written in any case.

**What cannot be used is named.** A key that is no setting, a setting that has no effect where it stands, and an empty
value cause a warning in the log, and the default is used. A value that cannot be understood, or that contradicts
another one, refuses the link: its health says which setting it is and what to write. Nothing that was given as a
secret is ever repeated in either.

Marks: *link* stands for settings that make sense on a link only, *provider* for settings of the provider's own config
only, *secret* for those that belong in a secret.
`

// Markdown returns the reference of all settings, as docs/settings.md holds it.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, part := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		if part.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", part.intro)
		}
		b.WriteString("| Setting | Default | Type | Example | What it does |\n|---|---|---|---|---|\n")
		for i := range part.settings {
			s := &part.settings[i]
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.docName(), s.docDefault(), s.docType(), s.docExample(), s.docText())
		}
	}
	return b.String()
}

// cell keeps a text within its cell of a table. A bar ends a cell even within code.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func code(text string) string { return "`" + cell(text) + "`" }

func (s *setting) docName() string {
	name := code(s.name)
	switch s.scope {
	case scopeLink:
		name += " *(link)*"
	case scopeProvider:
		name += " *(provider)*"
	}
	if s.sensitive {
		name += " *(secret)*"
	}
	return name
}

func (s *setting) docDefault() string {
	switch {
	case s.defDoc != "":
		return cell(s.defDoc)
	case s.def != "":
		return code(s.def)
	}
	return "none"
}

func (s *setting) docType() string {
	if len(s.value.words) == 0 {
		return cell(s.value.kind)
	}
	words := make([]string, len(s.value.words))
	for i, w := range s.value.words {
		words[i] = code(w)
	}
	return strings.Join(words, ", ")
}

func (s *setting) docExample() string {
	if s.example == "" {
		return ""
	}
	var examples []string
	for example := range strings.SplitSeq(s.example, "\n") {
		examples = append(examples, code(example))
	}
	return strings.Join(examples, ", ")
}

func (s *setting) docText() string {
	if s.kafka == "" {
		return cell(s.doc)
	}
	return cell(s.doc) + " Kafka's " + code(s.kafka) + "."
}
