//go:build !nodev

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/dev"
)

func newDev() *cobra.Command {
	var opts dev.Options
	var component dev.Component
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

With --component a component of your own gets the records instead: it is composed with the shim for what it exports,
served by wasmtime, and called by "bridge" over HTTP. What is produced to other topics is shown, and what the component
writes. With --url a program that listens already gets them. --set gives settings of the route, as topic=orders.

With --interface processor the stand-in gets whole records in batches and returns what is produced for each; with
--transactions that and its offsets are committed in one transaction of Kafka.

With --failing, --slow and --dead-letters the stand-in shows what becomes of messages that a component fails on: the
provider's page and its metrics show retries, and ` + dev.DeadLetterTopic + ` the dead letters.

--kafka-port, --nats-port and --admin give fixed addresses. Each is looked at before anything is started. With --json
each record that comes back is a JSON object on a line; with --quiet nothing else is said but what is wrong.

The command ends when the input has ended and all echoes are there, with status 1 where some did not come. At a
terminal it ends with Ctrl-D or Ctrl-C.`,
		Example: `  messaging-kafka dev
  printf 'a\nb\n' | messaging-kafka dev
  messaging-kafka dev --data ./kafka-data --kafka-port 9092
  messaging-kafka dev --failing --dead-letters
  messaging-kafka dev --interface processor --transactions
  seq 100 | messaging-kafka dev --quiet --json
  messaging-kafka dev --component word-count.wasm --set topic=texts --watch
  messaging-kafka dev --url http://127.0.0.1:8080/ --set deliver=http-cloudevents
  messaging-kafka dev --hosts localhost:9092 --nats nats://localhost:4222 --lattice my-tests`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			opts.In, opts.Out, opts.Err = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
			in, readsFile := opts.In.(*os.File)
			out, writesFile := opts.Out.(*os.File)
			opts.Interactive = readsFile && writesFile && isTerminal(in) && isTerminal(out)
			err := runDev(command, opts, component)
			if errors.Is(err, dev.ErrHostsAndData) || errors.Is(err, dev.ErrLattice) || errors.Is(err, dev.ErrComponent) ||
				errors.Is(err, dev.ErrStandIn) {
				return usageError{err}
			}
			return err
		},
	}
	set := command.Flags()
	set.StringVar(&opts.Hosts, "hosts", "", "use the Kafka at `HOST:PORT,…` instead of the embedded one")
	set.StringVar(&opts.Data, "data", "", "keep the embedded Kafka's data in `DIR` (default in memory)")
	set.StringVar(&opts.NATSURL, "nats", "", "join the lattice of the NATS server at `URL` instead of an embedded one")
	set.IntVar(&opts.KafkaPort, "kafka-port", 0, "`PORT` of 127.0.0.1 on which the embedded Kafka listens (default a free one)")
	set.IntVar(&opts.NATSPort, "nats-port", 0, "`PORT` of 127.0.0.1 on which the embedded NATS server listens (default a free one)")
	set.BoolVar(&opts.StandIn.Failing, "failing", false, "have the stand-in answer each message with an error")
	set.DurationVar(&opts.StandIn.Slow, "slow", 0, "have the stand-in take `TIME` for each message")
	set.BoolVar(&opts.StandIn.DeadLetters, "dead-letters", false,
		"with --failing, have messages become dead letters after three attempts, and show those")
	set.BoolVar(&opts.StandIn.Transactions, "transactions", false,
		"with --interface processor, commit what the stand-in returns together with its offsets")
	set.BoolVar(&opts.JSON, "json", false, "print what comes back as a JSON object a line")
	set.BoolVarP(&opts.Quiet, "quiet", "q", false, "say nothing but what came back and what is wrong")
	set.StringVar(&opts.Lattice, "lattice", dev.DefaultLattice, "`NAME` of the lattice")
	set.StringVar(&opts.Admin, "admin", "",
		"serve the provider's page, metrics and health at `HOST:PORT` (default a free port of 127.0.0.1)")
	set.StringVar(&component.Path, "component", "", "hand records to the component in `FILE`, served by wasmtime")
	set.StringVar(&component.URL, "url", "", "hand records to the program that listens at `URL`")
	set.StringVar(&component.Interface, "interface", "",
		"what the component or the stand-in exports, or the program speaks: `NAME` of "+strings.Join(dev.Interfaces, ", ")+
			" (default: what the component has; of a program processor; of the stand-in messages)")
	set.StringArrayVar(&component.Set, "set", nil, "a setting of the route, as `KEY=VALUE`; may be given several times")
	set.StringArrayVar(&component.Env, "env", nil, "a variable of the component's environment, as `NAME=VALUE`; may be given several times")
	set.BoolVar(&component.Watch, "watch", false, "serve the component anew when its file changes")
	set.StringVar(&component.Wasmtime, "wasmtime", "wasmtime", "`PATH` of wasmtime")
	set.StringVar(&component.Wac, "wac", "wac", "`PATH` of wac, which composes components")
	set.StringVar(&component.Shims, "shims", shimsFolder(), "`DIR` with the shims")
	set.BoolVar(&opts.Verbose, "verbose", false, "show all of the provider's log, not its warnings alone")
	return command
}

// runDev runs what the flags ask for. A terminal that is closed ends it as other signals do: what it has started is not
// of the terminal's group, and would go on.
func runDev(command *cobra.Command, opts dev.Options, component dev.Component) error {
	ctx := command.Context()
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	if component.Path != "" || component.URL != "" {
		if opts.StandIn != (dev.StandIn{}) {
			return usagef("--failing, --slow, --dead-letters and --transactions are for the stand-in, which --component and --url leave out")
		}
		return dev.RunComponent(ctx, opts, component)
	}
	if alone := onlyWithComponent(command); alone != "" {
		return usagef("--%s needs --component or --url", alone)
	}
	if err := opts.StandIn.Export(component.Interface); err != nil {
		return err
	}
	return dev.Run(ctx, opts)
}

// onlyWithComponent is a flag that was given and says nothing without a component, "" where there is none.
func onlyWithComponent(command *cobra.Command) string {
	for _, name := range []string{"set", "env", "watch", "wasmtime", "wac", "shims"} {
		if command.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

// shimsFolder is where shims/build puts them.
func shimsFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "shims" // a machine without a home says where they are
	}
	return filepath.Join(cache, "messaging-kafka", "shims")
}
