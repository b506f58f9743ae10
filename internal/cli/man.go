package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
)

func newMan() *cobra.Command {
	var folder string
	command := &cobra.Command{
		Use:   "man [COMMAND…]",
		Short: "Write the manual pages",
		Long: `Write the page of a command, of the program itself where none is named, for man on standard output; or with --out
those of all commands as files.`,
		Example: `  messaging-kafka man | man -l -
  messaging-kafka man --out ~/.local/share/man/man1`,
		RunE: func(command *cobra.Command, args []string) error {
			root := command.Root()
			if folder == "" {
				of, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return usagef("there is no command %q", strings.Join(args, " "))
				}
				_, err = fmt.Fprint(command.OutOrStdout(), manPage(of))
				return err
			}
			if len(args) > 0 {
				return usagef("--out writes the pages of all commands: name none")
			}
			return writeManPages(root, folder)
		},
	}
	command.Flags().StringVar(&folder, "out", "", "write a file for each command into `DIR`")
	return command
}

func writeManPages(of *cobra.Command, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, manName(of)+".1")
	if err := os.WriteFile(path, []byte(manPage(of)), 0o644); err != nil { //nolint:gosec // for everybody to read
		return fmt.Errorf("writing a manual page: %w", err)
	}
	for _, inner := range shownCommands(of) {
		if err := writeManPages(inner, folder); err != nil {
			return err
		}
	}
	return nil
}

// shownCommands are those below a command that its help shows.
func shownCommands(of *cobra.Command) []*cobra.Command {
	var shown []*cobra.Command
	for _, inner := range of.Commands() {
		if inner.IsAvailableCommand() && inner.Name() != "help" {
			shown = append(shown, inner)
		}
	}
	return shown
}

func manName(of *cobra.Command) string { return strings.ReplaceAll(of.CommandPath(), " ", "-") }

// manPage is a command's page in the language of man(7).
func manPage(of *cobra.Command) string {
	of.InitDefaultHelpFlag()
	of.InitDefaultVersionFlag()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 %q %q\n", strings.ToUpper(manName(of)), "", "messaging-kafka "+version.Get().Version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(of)), roff(of.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(of.UseLine()))
	text := of.Long
	if text == "" {
		text = of.Short + "."
	}
	b.WriteString(".SH DESCRIPTION\n")
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, "  ") { // as it stands
			fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(paragraph))
			continue
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	manFlags(&b, of)
	if of.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(of.Example))
	}
	var others []string
	if of.HasParent() {
		others = append(others, manName(of.Parent()))
	}
	for _, inner := range shownCommands(of) {
		others = append(others, manName(inner))
	}
	if len(others) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, other := range others {
			end := ","
			if i == len(others)-1 {
				end = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(other), end)
		}
	}
	return b.String()
}

func manFlags(b *strings.Builder, of *cobra.Command) {
	b.WriteString(".SH OPTIONS\n")
	of.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(name))
		if kind != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(kind))
		}
		b.WriteString("\n" + roff(usage))
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			b.WriteString(roff(fmt.Sprintf(" (default %s)", anybodys(f.DefValue))))
		}
		b.WriteString("\n")
	})
}

// anybodys is a path without the home of whoever writes the page: it is for others to read, too.
func anybodys(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "" {
		return path // then no default has one in it, either
	}
	if under, found := strings.CutPrefix(path, home+string(filepath.Separator)); found {
		return "~/" + filepath.ToSlash(under)
	}
	return path
}

// roff has a text mean itself: no backslash is an escape, no line a request, and a hyphen is one that can be copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
