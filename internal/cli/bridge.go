package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// bridgeFlags are the flags of bridge as they were typed.
type bridgeFlags struct {
	config    string
	logLevel  string
	logFormat string
}

func newBridge() *cobra.Command {
	var flags bridgeFlags
	command := &cobra.Command{
		Use:   "bridge --config FILE",
		Short: "Hand records over by HTTP, to any host",
		Long: `Hand the records of Kafka topics over by HTTP, as a YAML file says: to components behind wasi:http in any host, and to
plain programs. It runs until SIGINT or SIGTERM, and then ends in order: records that are being handled are finished,
as far as provider_shutdown_timeout lets them, their offsets are committed, and the groups are left.

The exit status is 0 after an end in order, 1 where the file cannot be used.`,
		Example: `  messaging-kafka bridge --config bridge.yaml`,
		Args:    cobra.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return flags.run(command) },
	}
	set := command.Flags()
	set.StringVarP(&flags.config, "config", "c", "", "`FILE` with the routes")
	set.StringVar(&flags.logLevel, "log-level", "info", "least `LEVEL` of what is logged: debug, info, warn, error")
	set.StringVar(&flags.logFormat, "log-format", "json", "`FORM` of the log: json or text")
	return command
}

func (f bridgeFlags) run(command *cobra.Command) error {
	switch {
	case f.config == "":
		return usagef("which routes? give --config FILE")
	case f.logFormat != "json" && f.logFormat != "text":
		return usagef("--log-format is json or text")
	}
	if err := telemetry.CheckLevel(f.logLevel); err != nil {
		return usagef("--log-level: %w", err)
	}
	return bridge.Run(command.Context(), bridge.Options{
		Path: f.config, Lookup: os.LookupEnv,
		Log: telemetry.NewLogger(command.ErrOrStderr(), f.logLevel, f.logFormat == "json"),
	})
}
