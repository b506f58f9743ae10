//go:build !nodev

package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/dev"
)

func newDev() *cobra.Command {
	var opts dev.Options
	command := &cobra.Command{
		Use:   "dev",
		Short: "Run the provider with everything it needs, and send it lines",
		Long: `Run the provider with everything it needs in this one process, with nothing else installed: a NATS server, a Kafka,
and a stand-in for the component echo.

Each line of standard input becomes a record on ` + dev.Topic + `. The provider hands it to the component over wRPC,
the component publishes it to ` + dev.ReplyTopic + ` by the provider, and what comes back there is printed on
standard output. All else that is said goes to standard error.

The Kafka listens on a port of its own of 127.0.0.1, which is printed: any Kafka tool can join in. Records that other
programs produce to ` + dev.Topic + ` are echoed like the lines.

The provider serves its page, with the state of the link and what flows, on a port of its own, which is printed too.

The command ends when the input has ended and all echoes are there, with status 1 where some did not come. At a
terminal it ends with Ctrl-D or Ctrl-C.`,
		Example: `  messaging-kafka dev
  printf 'a\nb\n' | messaging-kafka dev
  messaging-kafka dev --data ./kafka-data
  messaging-kafka dev --hosts localhost:9092 --nats nats://localhost:4222 --lattice my-tests`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			opts.In, opts.Out, opts.Err = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
			in, readsFile := opts.In.(*os.File)
			out, writesFile := opts.Out.(*os.File)
			opts.Interactive = readsFile && writesFile && isTerminal(in) && isTerminal(out)
			err := dev.Run(command.Context(), opts)
			if errors.Is(err, dev.ErrHostsAndData) || errors.Is(err, dev.ErrLattice) {
				return usageError{err}
			}
			return err
		},
	}
	set := command.Flags()
	set.StringVar(&opts.Hosts, "hosts", "", "use the Kafka at `HOST:PORT,…` instead of the embedded one")
	set.StringVar(&opts.Data, "data", "", "keep the embedded Kafka's data in `DIR` (default in memory)")
	set.StringVar(&opts.NATSURL, "nats", "", "join the lattice of the NATS server at `URL` instead of an embedded one")
	set.StringVar(&opts.Lattice, "lattice", dev.DefaultLattice, "`NAME` of the lattice")
	set.StringVar(&opts.Admin, "admin", "",
		"serve the provider's page, metrics and health at `HOST:PORT` (default a free port of 127.0.0.1)")
	set.BoolVar(&opts.Verbose, "verbose", false, "show all of the provider's log, not its warnings alone")
	return command
}
