package cli

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/letters"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// letterFlags are the flags of all dead-letters commands as they were typed: whose letters, and which.
type letterFlags struct {
	source                 sourceFlags
	topic                  string
	reason, origin, group  string
	key, keyHex            string
	since, until, offset   string
	partitions             []int32
	mostRedrives           int
	limit                  int
	asJSON, hexa, byReason bool
}

func newDeadLetters() *cobra.Command {
	command := &cobra.Command{
		Use:   "dead-letters",
		Short: "List dead letters, show them, send them back",
		Long: `List the dead letters of a link or route, show them, and send them back to where they come from.

list and show only read. redrive sends letters back, each once, and deletes none: the topic's retention does.`,
		Example: `  messaging-kafka dead-letters list --file link.properties --by-reason
  messaging-kafka dead-letters show 3/17 --file link.properties
  messaging-kafka dead-letters redrive --file link.properties --reason 'no connection' --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newLettersList(), newLettersShow(), newLettersRedrive())
	return command
}

func (f *letterFlags) add(command *cobra.Command) {
	f.source.add(command)
	f.source.committed = true
	set := command.Flags()
	set.StringVar(&f.topic, "topic", "", "`TOPIC` of the letters (default: dead_letter_topic of the link or route)")
	set.BoolVar(&f.asJSON, "json", false, "print JSON")
}

func (f *letterFlags) addSelection(command *cobra.Command) {
	set := command.Flags()
	set.StringVar(&f.reason, "reason", "", "only letters whose reason fits `REGEX`")
	set.StringVar(&f.origin, "origin", "", "only letters that come from `TOPIC` or TOPIC/PARTITION")
	set.StringVar(&f.group, "group", "", "only letters of the consumer group `NAME`")
	set.StringVar(&f.key, "key", "", "only letters with the key `TEXT`")
	set.StringVar(&f.keyHex, "key-hex", "", "only letters with the key of the hexadecimal `DIGITS`")
	set.StringVar(&f.since, "since", "", "only records from `TIME` on, by their own time (2026-01-31T08:00:00Z, 2026-01-31, or 2h ago)")
	set.StringVar(&f.until, "until", "", "only records before `TIME`")
	set.StringVar(&f.offset, "offset", "", "only letters at the offsets `N`, N-M, N- or -M of the topic of letters")
	set.Int32SliceVar(&f.partitions, "partition", nil, "only letters in the partition `N` of the topic of letters; repeatable")
	set.IntVar(&f.mostRedrives, "max-redrives", 0, "only letters that were sent back `N` times at most (0: never)")
	set.IntVar(&f.limit, "limit", 0, "stop after `N` letters")
}

func (f *letterFlags) selection(command *cobra.Command) (letters.Selection, error) {
	s := letters.Selection{Reason: f.reason, Group: f.group, Partitions: f.partitions}
	set := command.Flags()
	now := time.Now()
	if err := given(command, "topic", "reason", "origin", "group", "since", "until", "offset"); err != nil {
		return s, err
	}
	if err := atLeastOne(command, "limit"); err != nil {
		return s, err
	}
	if f.mostRedrives < 0 {
		return s, errors.New("--max-redrives must not be below 0")
	}
	for _, p := range f.partitions {
		if p < 0 {
			return s, errors.New("--partition must not be below 0")
		}
	}
	if set.Changed("origin") {
		if err := s.SetOrigin(f.origin); err != nil {
			return s, err
		}
	}
	if set.Changed("offset") {
		if err := s.SetOffsets(f.offset); err != nil {
			return s, err
		}
	}
	switch {
	case set.Changed("key") && set.Changed("key-hex"):
		return s, errors.New("--key and --key-hex are two ways to name one key: give one of them")
	case set.Changed("key"):
		s.SetKey([]byte(f.key))
	case set.Changed("key-hex"):
		key, err := hex.DecodeString(strings.TrimPrefix(f.keyHex, "0x")) // as list shows it
		if err != nil {
			return s, fmt.Errorf("--key-hex: %w", err)
		}
		s.SetKey(key)
	}
	for _, bound := range []struct {
		flag, text string
		to         *int64
	}{{"--since", f.since, &s.Since}, {"--until", f.until, &s.Until}} {
		if bound.text == "" {
			continue
		}
		t, err := browse.ParseTime(bound.text, now)
		if err != nil {
			return s, fmt.Errorf("%s: %w", bound.flag, err)
		}
		*bound.to = t.UnixMilli()
	}
	if set.Changed("max-redrives") {
		s.MostRedrives = &f.mostRedrives
	}
	return s, s.Check()
}

// picks tells whether flags may leave letters out.
func picks(command *cobra.Command) bool {
	return slices.ContainsFunc([]string{
		"reason", "origin", "group", "key", "key-hex", "since", "until", "offset", "partition", "max-redrives",
	}, command.Flags().Changed)
}

// given refuses flags that were given an empty value: it is that of a variable that is not set, and would mean more
// than was meant.
func given(command *cobra.Command, names ...string) error {
	for _, name := range names {
		if flag := command.Flags().Lookup(name); flag != nil && flag.Changed && flag.Value.String() == "" {
			return fmt.Errorf("--%s is empty: leave it out where nothing is meant by it", name)
		}
	}
	return nil
}

// atLeastOne refuses a number that was given and is none of things to do.
func atLeastOne(command *cobra.Command, name string) error {
	flag := command.Flags().Lookup(name)
	if n, err := strconv.Atoi(flag.Value.String()); flag.Changed && (err != nil || n < 1) {
		return fmt.Errorf("--%s must be 1 at least", name)
	}
	return nil
}

func (f *letterFlags) open(command *cobra.Command) (*browse.Source, error) {
	return f.source.open(command, func(l *settings.Link) string { return cmp.Or(f.topic, l.Delivery.DeadLetterTopic) },
		"it has no dead_letter_topic: name the topic of the letters with --topic")
}

const selectionHelp = `Letters are picked by reason, origin, group, key, time and place; all that is given must fit. The time is that of
the record, which its letter keeps.`

func newLettersList() *cobra.Command {
	var flags letterFlags
	command := &cobra.Command{
		Use:   "list",
		Short: "List dead letters",
		Long: `List dead letters: where they are (partition/offset), the time of the record, where it was, its key, how often it
was delivered, how often it was sent back before, and why it was given up.

` + selectionHelp + `

` + sourceHelp + `

The fields of --json, a line for each letter, are those of messaging-kafka tail, and letter: reason, origin (topic,
partition, offset, timestamp), group, component, attempts, redrives, redriven_from. With --by-reason they are letters
and reason.`,
		Example: `  messaging-kafka dead-letters list --set hosts=kafka.example.com:9092 --set dead_letter_topic=orders.dead
  messaging-kafka dead-letters list --manifest wadm.yaml --component mailer --reason 'no such customer' --since 2h
  messaging-kafka dead-letters list --config bridge.yaml --route orders --by-reason`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return flags.list(command) },
	}
	flags.add(command)
	flags.addSelection(command)
	command.Flags().BoolVar(&flags.byReason, "by-reason", false, "print how many letters have which reason")
	command.Flags().BoolVar(&flags.hexa, "hex", false, "with --json, keys, values and headers as hexadecimal digits")
	return command
}

func (f *letterFlags) list(command *cobra.Command) (err error) {
	selection, err := f.selection(command)
	if err != nil {
		return usageError{err}
	}
	s, err := f.open(command)
	if err != nil {
		return err
	}
	defer s.Close()
	out, flush := buffered(command.OutOrStdout())
	defer func() { err = errors.Join(err, flush()) }()
	table, reasons, n := letters.NewTable(out), letters.NewReasons(), 0
	err = letters.Each(command.Context(), s, &selection, command.ErrOrStderr(), func(l *letters.Letter) (bool, error) {
		n++
		enough := n == f.limit
		switch {
		case f.byReason:
			reasons.Add(l)
		case f.asJSON:
			return enough, json.NewEncoder(out).Encode(letters.NewLine(l, f.hexa))
		default:
			return enough, table.Add(l)
		}
		return enough, nil
	})
	if err != nil {
		return stopped(err)
	}
	switch {
	case f.byReason && f.asJSON:
		return printJSON(out, reasons.Counts())
	case f.byReason:
		return reasons.Print(out)
	case n == 0 && !f.asJSON:
		fit := ""
		if picks(command) {
			fit = " fit"
		}
		_, err = fmt.Fprintf(out, "no dead letters in %s%s\n", s.Topic, fit)
		return err
	default:
		return table.Flush()
	}
}

func newLettersShow() *cobra.Command {
	var flags letterFlags
	command := &cobra.Command{
		Use:   "show PARTITION/OFFSET...",
		Short: "Show all of a dead letter",
		Long: `Show all of a dead letter: where it comes from and why it is there, its key, headers and value.

Its place is the one that list shows. JSON is shown over several lines; what is no text, as hexadecimal digits.

` + sourceHelp + `

The fields of --json are those of messaging-kafka dead-letters list.`,
		Example: `  messaging-kafka dead-letters show 3/17 --set hosts=kafka.example.com:9092 --topic orders.dead
  messaging-kafka dead-letters show 0/1 0/2 --config bridge.yaml --route orders --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return flags.show(command, args) },
	}
	flags.add(command)
	command.Flags().BoolVar(&flags.hexa, "hex", false, "show keys, values and headers as hexadecimal digits")
	return command
}

func (f *letterFlags) show(command *cobra.Command, args []string) (err error) {
	places := make([]letters.Selection, len(args))
	for i, arg := range args {
		partition, offset, ok := strings.Cut(arg, "/")
		p, errP := strconv.ParseInt(partition, 10, 32)
		o, errO := strconv.ParseInt(offset, 10, 64)
		if !ok || errP != nil || errO != nil || p < 0 || o < 0 {
			return usagef("%q is no place of a letter: it is of the form PARTITION/OFFSET", arg)
		}
		places[i] = letters.Selection{Partitions: []int32{int32(p)}, First: o, Last: &o}
	}
	s, err := f.open(command)
	if err != nil {
		return err
	}
	defer s.Close()
	out, flush := buffered(command.OutOrStdout())
	defer func() { err = errors.Join(err, flush()) }()
	for i := range places {
		found := false
		err := letters.Each(command.Context(), s, &places[i], command.ErrOrStderr(), func(l *letters.Letter) (bool, error) {
			if found = true; f.asJSON {
				return true, json.NewEncoder(out).Encode(letters.NewLine(l, f.hexa))
			}
			if i > 0 {
				if _, err := fmt.Fprintln(out); err != nil {
					return true, err
				}
			}
			return true, letters.Print(out, l, f.hexa)
		})
		if err != nil {
			return stopped(err)
		}
		if !found {
			return fmt.Errorf("there is no letter %s in %s, or not any more", args[i], s.Topic)
		}
	}
	return nil
}

// redriveFlags are the flags of redrive as they were typed.
type redriveFlags struct {
	letterFlags
	to, round                         string
	keepAttempts, dryRun, atLeastOnce bool
	rate                              float64
}

func newLettersRedrive() *cobra.Command {
	var flags redriveFlags
	command := &cobra.Command{
		Use:   "redrive",
		Short: "Send dead letters back to where they come from",
		Long: `Send dead letters back to the topics that they come from, or to another one (--to), with their keys, values, own
headers and times, to the partitions that they had there.

Each letter goes once: letters and the note that they were sent are stored in one transaction of Kafka, and all redrives
of a topic know each other's notes, whatever they pick. So it can be stopped or killed at any moment, and the same
command goes on where it was; a second one at the same time takes over from the first. --round NAME begins anew, beside
the notes of other rounds. Letters that come while it runs are for the next run.

Where the user may use no transactional id, --at-least-once sends first and notes then: what was on its way when it was
killed is sent again.

What a record was given as a dead letter is taken off, its attempts begin at 0 (unless --keep-attempts), and it is
marked by the headers messaging-kafka-redrives and messaging-kafka-redriven-from: if it fails again, list shows how
often it was sent back, and --max-redrives leaves it out. It goes to all that read the topic, not only to the group that
gave it up.

` + selectionHelp + `

` + sourceHelp + `

The exit status is 0 where all that is meant was sent, or --limit of it, 1 where not, 2 where the command line makes no
sense. The fields of --json keep their names: sent, known (sent before), looped (sent back before that and come again),
most_redrives, expiring (older than their topic keeps records), topics, passed, total and before (offsets of the topic
of letters: looked at, to look at, and passed by an earlier redrive of the same letters or of more).`,
		Example: `  messaging-kafka dead-letters redrive --file link.properties --dry-run
  messaging-kafka dead-letters redrive --file link.properties --reason 'no connection' --rate 100
  messaging-kafka dead-letters redrive --config bridge.yaml --route orders --to orders.again --limit 10`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return flags.redrive(command) },
	}
	flags.add(command)
	flags.addSelection(command)
	set := command.Flags()
	set.StringVar(&flags.to, "to", "", "`TOPIC` for all letters (default: that which each comes from)")
	set.StringVar(&flags.round, "round", "", "begin anew as the round `NAME`, which knows nothing of others")
	set.BoolVar(&flags.keepAttempts, "keep-attempts", false, "keep the count of deliveries (max_attempts goes on from there)")
	set.BoolVar(&flags.dryRun, "dry-run", false, "only say which letters would be sent where")
	set.Float64Var(&flags.rate, "rate", 0, "send no more than `N` letters a second")
	set.BoolVar(&flags.atLeastOnce, "at-least-once", false, "go without transactions; what is on its way at a kill is sent twice")
	return command
}

func (f *redriveFlags) redrive(command *cobra.Command) (err error) {
	selection, err := f.selection(command)
	if err != nil {
		return usageError{err}
	}
	if err := given(command, "to", "round"); err != nil {
		return usageError{err}
	}
	if f.rate < 0 || f.rate == 0 && command.Flags().Changed("rate") {
		return usagef("--rate must be above 0")
	}
	s, err := f.open(command)
	if err != nil {
		return err
	}
	defer s.Close()
	out, flush := buffered(command.OutOrStdout())
	defer func() { err = errors.Join(err, flush()) }()
	bar := newBar(command.ErrOrStderr())
	o := letters.Options{
		Selection: selection, To: f.to, Round: f.round, KeepAttempts: f.keepAttempts, Limit: f.limit, Rate: f.rate,
		DryRun: f.dryRun, AtLeastOnce: f.atLeastOnce, Notes: bar, Progress: bar.show,
	}
	if f.dryRun && !f.asJSON {
		o.Sent = func(l *letters.Letter, topic string) error {
			_, err := fmt.Fprintf(out, "%s would go to %s: %s\n",
				browse.Position(l.Record), topic, browse.Show([]byte(l.Reason), false, 300))
			return err
		}
	}
	done, failed := letters.Redrive(command.Context(), s, o)
	bar.end()
	if f.asJSON {
		err = printJSON(out, done)
	} else {
		_, err = fmt.Fprint(out, summaryOf(&done, s.Topic, f.dryRun))
	}
	if failed != nil {
		return fmt.Errorf("%w; the same command goes on where this one was", stopped(failed))
	}
	return err
}

// summaryOf says what a redrive has done.
func summaryOf(p *letters.Progress, topic string, dry bool) string {
	verb := "sent"
	if dry {
		verb = "would be sent"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d letters of %s %s", p.Sent, topic, verb)
	for i, to := range slices.Sorted(maps.Keys(p.Topics)) {
		fmt.Fprintf(&text, "%s %d to %s", []string{":", ","}[min(i, 1)], p.Topics[to], to)
	}
	text.WriteString("\n")
	if p.Before > 0 && p.Sent == 0 && p.Known == 0 {
		fmt.Fprintf(&text, "what was there before was passed by an earlier redrive (%d offsets): --round NAME begins anew\n", p.Before)
	}
	if p.Expiring > 0 {
		fmt.Fprintf(&text, "%d of them are older than their topic keeps records (retention.ms), and keep their time: Kafka deletes such records again, read or not; raise retention.ms for as long, or send them with --to to a topic that keeps them\n", p.Expiring)
	}
	if p.Known > 0 {
		fmt.Fprintf(&text, "%d were left out: another redrive had sent them\n", p.Known)
	}
	if p.Looped > 0 {
		fmt.Fprintf(&text, "%d of them had been sent back before and had come again, up to %d times: --max-redrives leaves such out\n", p.Looped, p.Most)
	}
	return text.String()
}

// bar shows how far a redrive is: at a terminal in one line that is drawn anew, elsewhere in a line now and then. Notes
// are written between.
type bar struct {
	out      io.Writer
	terminal bool
	began    time.Time
	shown    time.Time
	drawn    bool
}

const (
	drawEvery = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

func newBar(out io.Writer) *bar {
	file, ok := out.(*os.File)
	return &bar{out: out, terminal: ok && isTerminal(file), began: time.Now(), shown: time.Now()}
}

func (b *bar) show(p letters.Progress) {
	every := lineEvery
	if b.terminal {
		every = drawEvery
	}
	if time.Since(b.shown) < every || p.Total == 0 {
		return
	}
	b.shown = time.Now()
	rate := float64(p.Sent) / time.Since(b.began).Seconds()
	text := fmt.Sprintf("%3d%%  %d sent, %.0f a second", 100*p.Passed/p.Total, p.Sent, rate)
	if !b.terminal {
		fmt.Fprintln(b.out, text)
		return
	}
	full := int(barWidth * p.Passed / p.Total)
	drawn := strings.Repeat("#", full) + strings.Repeat(".", barWidth-full)
	fmt.Fprintf(b.out, "\r\x1b[K[%s] %s", drawn, text)
	b.drawn = true
}

// Write writes a note.
func (b *bar) Write(text []byte) (int, error) {
	b.end()
	return b.out.Write(text)
}

// end takes away what is drawn.
func (b *bar) end() {
	if b.drawn {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.drawn = false
	}
}
