package cli

import (
	"bufio"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// tailFlags are the flags of tail as they were typed.
type tailFlags struct {
	source       sourceFlags
	from, to     string
	partitions   []int32
	filters      []string
	limit, most  int
	asJSON, hexa bool
}

func newTail() *cobra.Command {
	var flags tailFlags
	command := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Show the records of a topic as they come",
		Long: `Show the records of a topic as they come, from its end on or from --from, until Ctrl-C or --to.

It only reads: it joins no group and commits nothing. Of each record it shows the time, partition/offset, key and value,
and its headers below, those of dead letters as the numbers and times that they are. What is no text is shown as
hexadecimal digits, and what a terminal would obey as an escape sequence.

A place (--from, --to) is start, end, an offset (1042), so many offsets before the end of each partition (-100), a time
(2026-01-31T08:00:00Z, 2026-01-31) or so long ago (15m). What --to names is not shown. The marker at the end of each
transaction has an offset, too, as what was compacted away had: -100 may be fewer than a hundred records.

All of --filter must fit: key=TEXT, value=TEXT, header.NAME=TEXT or value.FIELD.FIELD=TEXT (a field of JSON), each with
~REGEX in place of =TEXT, too; anything else is a regular expression for key or value.

` + sourceHelp + `

The fields of --json, a line for each record, keep their names: topic, partition, offset, timestamp (milliseconds since
1970), time, key, value, headers (name, value, number). A value is null, {"json": …} where it is an object or a list,
{"text": …} or {"base64": …}; keys and headers are never {"json": …}. With --hex it is {"hex": …}.`,
		Example: `  messaging-kafka tail orders --set hosts=kafka.example.com:9092
  messaging-kafka tail orders --file link.properties --secret-file sasl_password=/run/secrets/kafka \
    --from 15m --filter value.customer.id=42
  messaging-kafka tail orders --config bridge.yaml --route orders --from start --to end --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return flags.run(command, args[0]) },
	}
	flags.source.add(command)
	set := command.Flags()
	set.StringVar(&flags.from, "from", "end", "`PLACE` to begin at")
	set.StringVar(&flags.to, "to", "", "`PLACE` to stop at (default: go on until Ctrl-C)")
	set.Int32SliceVar(&flags.partitions, "partition", nil, "only the partition `N`; repeatable")
	set.StringArrayVar(&flags.filters, "filter", nil, "only records that fit the `CONDITION`; repeatable")
	set.IntVar(&flags.limit, "limit", 0, "stop after `N` records")
	set.IntVar(&flags.most, "max-bytes", 4096, "show no more than `N` bytes of a key, value or header (0: all); --json has all")
	set.BoolVar(&flags.asJSON, "json", false, "print JSON, a line for each record")
	set.BoolVar(&flags.hexa, "hex", false, "show keys, values and headers as hexadecimal digits")
	return command
}

func (f *tailFlags) run(command *cobra.Command, topic string) (err error) {
	now := time.Now()
	if err := given(command, "from", "to"); err != nil {
		return usageError{err}
	}
	if topic == "" {
		return usagef("name a topic")
	}
	o := browse.Options{
		Partitions: f.partitions, Limit: f.limit, JSON: f.asJSON, Hex: f.hexa, Most: f.most, Notes: command.ErrOrStderr(),
	}
	if o.From, err = browse.ParsePlace(f.from, now); err != nil {
		return usagef("--from: %w", err)
	}
	if o.To, err = browse.ParsePlace(f.to, now); err != nil {
		return usagef("--to: %w", err)
	}
	if o.From.IsBehind(o.To) {
		return usagef("--from %s is behind --to %s: there is nothing between them", f.from, f.to)
	}
	if o.Filter, err = browse.ParseFilter(f.filters); err != nil {
		return usageError{err}
	}
	if err := atLeastOne(command, "limit"); err != nil {
		return usageError{err}
	}
	if f.most < 0 {
		return usagef("--max-bytes must not be below 0")
	}
	for _, p := range f.partitions {
		if p < 0 {
			return usagef("--partition must not be below 0")
		}
	}
	s, err := f.source.open(command, func(*settings.Link) string { return topic }, "there is no link")
	if err != nil {
		return err
	}
	defer s.Close()
	return browse.Tail(command.Context(), s, command.OutOrStdout(), o)
}

// buffered prints to a pipe or a file in pieces, to a terminal at once; flush follows.
func buffered(out io.Writer) (to io.Writer, flush func() error) {
	if file, ok := out.(*os.File); ok && isTerminal(file) {
		return out, func() error { return nil }
	}
	b := bufio.NewWriter(out)
	return b, b.Flush
}
