package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
)

func newVersion() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is",
		Example: "  messaging-kafka version --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			info, out := version.Get(), command.OutOrStdout()
			if asJSON {
				return printJSON(out, info)
			}
			var text strings.Builder
			fmt.Fprintf(&text, "messaging-kafka %s\n  commit  %s\n  built   with %s for %s\n", info.Version, info.Commit,
				info.Go, info.Target)
			for _, module := range slices.Sorted(maps.Keys(info.Modules)) {
				fmt.Fprintf(&text, "  uses    %s %s\n", module, info.Modules[module])
			}
			_, err := fmt.Fprint(out, text.String())
			return err
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}
