//go:build nodev

package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// newDev stands for the command in builds without it, as those in archives are.
func newDev() *cobra.Command {
	return &cobra.Command{
		Use: "dev", Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New(`this build has no "dev": it was made for provider archives (build tag nodev)`)
		},
	}
}
