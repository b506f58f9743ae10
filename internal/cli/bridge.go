package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// bridgeFlags are the flags of bridge as they were typed.
type bridgeFlags struct {
	config    string
	logLevel  string
	logFormat string
	once      bool
	patience  time.Duration
}

func newBridge() *cobra.Command {
	var flags bridgeFlags
	command := &cobra.Command{
		Use:   "bridge --config FILE",
		Short: "Hand records over by HTTP, to any host",
		Long: `Hand the records of Kafka topics over by HTTP, as a YAML file says: to components behind wasi:http in any host, and
to plain programs. Callers may publish by it. It runs until SIGINT or SIGTERM, and then ends in order: records that are
being handled are finished, as far as provider_shutdown_timeout lets them, their offsets are committed, and the groups
are left.

The file is read again when it changes, or a file of a secret that it names, and at SIGHUP. Routes that are not changed
go on; a file that cannot be used changes nothing, and log, health and status say so.

With --once it ends by itself, when the lag of the groups of all routes is 0, whoever has their partitions, and nothing
is in flight. The exit status is 0 then, and 1 where that cannot be: a route that cannot work, a partition that stands
still, nothing that moves for --patience, or a signal that ends it before.`,
		Example: `  messaging-kafka bridge --config bridge.yaml
  messaging-kafka bridge --config nightly.yaml --once`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return flags.run(command) },
	}
	command.AddCommand(newBridgeCheck(), newBridgeSchema())
	set := command.Flags()
	set.StringVarP(&flags.config, "config", "c", "", "`FILE` with the routes")
	set.BoolVar(&flags.once, "once", false, "end when all is read and finished")
	set.DurationVar(&flags.patience, "patience", bridge.DefaultPatience,
		"longest `TIME` in which nothing moves with --once")
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
	if f.patience <= 0 {
		return usagef("--patience must be longer than 0")
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	return lines(bridge.Run(command.Context(), bridge.Options{
		Path: f.config, Lookup: os.LookupEnv, Reload: reload, Once: f.once, Patience: f.patience,
		Log: telemetry.NewLogger(command.ErrOrStderr(), f.logLevel, f.logFormat == "json"),
	}))
}
