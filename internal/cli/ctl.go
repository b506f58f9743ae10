package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/cli/overview"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// ctlFlags are the flags of ctl as they were typed.
type ctlFlags struct {
	askFlags
	tokenFile string
	keep      bool
	reason    string
	to        string
	offset    int64
	partition int32
	topic     string
	dryRun    bool
	asJSON    bool
	lookupEnv func(string) (string, bool)
	// givenOffset and givenPart tell that these were typed: 0 is a good one.
	givenOffset, givenPart bool
}

// tokenVariable has the token where no file is named. An argument could be read by everybody on the machine.
const tokenVariable = "MESSAGING_KAFKA_TOKEN"

func newCtl() *cobra.Command {
	flags := ctlFlags{lookupEnv: os.LookupEnv}
	command := &cobra.Command{
		Use:   "ctl {pause|resume|restart|seek} LINK",
		Short: "Act on links of running providers: pause, resume, restart, set offsets",
		Long: `Act on a link, or a route of a bridge, in all copies that are asked and have it.

pause    ends its reading in order: what the component has is finished and committed, and the group is left. What is
         published by it goes on. It lasts until resume, or until the copy is started again; with --keep beyond that.
resume   ends a pause.
restart  has what runs of it end and begin anew, by the same settings.
seek     sets the offsets from which its group goes on: --to start, --to end, --to TIME (its first records that are not
         older), or --offset N of one --partition. All copies stop reading meanwhile. It is refused while there are
         members of the group that are none of these copies. --dry-run only says where to.

LINK is named as status does, component/name, or by its name where that is clear. All links of one component and name
are acted on together.

Copies are asked at their admin address (--address, for each copy), which takes a token of provider_control_tokens, from
--token-file or the variable ` + tokenVariable + `; or over the lattice (--nats), where provider_control_lattice=true
allows that. Their log says who did what.

The exit status is 0 where it was done, 1 where a copy refused it or failed, 2 where somebody could not be asked.`,
		Example: `  messaging-kafka ctl pause shop/default --reason "the shop moves" --nats nats://127.0.0.1:4222
  messaging-kafka ctl seek shop/default --to 2026-03-01T12:00:00Z --dry-run --nats nats://127.0.0.1:4222
  messaging-kafka ctl seek orders --offset 1235 --partition 3 --address http://127.0.0.1:9464 --token-file token
  messaging-kafka ctl resume shop/default --nats nats://127.0.0.1:4222`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			if err := given(command, "to", "topic", "reason", "token-file"); err != nil {
				return usageError{err}
			}
			flags.givenOffset, flags.givenPart = command.Flags().Changed("offset"), command.Flags().Changed("partition")
			return flags.run(command.Context(), command.OutOrStdout(), control.Action(args[0]), args[1])
		},
	}
	set := command.Flags()
	flags.add(command)
	set.StringVar(&flags.tokenFile, "token-file", "", "`FILE` with the token to show at --address (default: the variable "+tokenVariable+")")
	set.BoolVar(&flags.keep, "keep", false, "with pause: have it outlast a restart of the copies, which needs provider_pauses_file")
	set.StringVar(&flags.reason, "reason", "", "with pause: `TEXT` for those who wonder why")
	set.StringVar(&flags.to, "to", "", "with seek: `WHERE` to: start, end, or a time such as 2026-03-01T12:00:00Z")
	set.Int64Var(&flags.offset, "offset", 0, "with seek: offset `N` to go to, of one --partition")
	set.Int32Var(&flags.partition, "partition", 0, "with seek: `NUMBER` of the only partition to set (default: all)")
	set.StringVar(&flags.topic, "topic", "", "with seek: `NAME` of the only topic to set (default: all of the link)")
	set.BoolVar(&flags.dryRun, "dry-run", false, "with seek: only say where to")
	set.BoolVar(&flags.asJSON, "json", false, "print the answers of the copies as JSON")
	return command
}

// request is what the flags ask for.
func (f *ctlFlags) request(action control.Action, link string) (control.Request, error) {
	r := control.Request{Action: action, Link: link, By: whoAmI(), Why: f.reason, Keep: f.keep, DryRun: f.dryRun}
	seeks := f.to != "" || f.givenOffset || f.givenPart || f.topic != "" || f.dryRun
	pauses := f.keep || f.reason != ""
	switch action {
	case control.Pause, control.Resume, control.Restart:
		if seeks {
			return r, usagef("--to, --offset, --partition, --topic and --dry-run go with seek only")
		}
		if pauses && action != control.Pause {
			return r, usagef("--keep and --reason go with pause only")
		}
		return r, nil
	case control.Seek:
	default:
		return r, usagef("%q is none of pause, resume, restart and seek", action)
	}
	if pauses {
		return r, usagef("--keep and --reason go with pause only")
	}
	r.Seek = &control.Target{To: f.to, Topic: f.topic}
	if f.givenPart {
		r.Seek.Partition = &f.partition
	}
	switch {
	case f.givenOffset && f.to != "", !f.givenOffset && f.to == "":
		return r, usagef("where to? give one of --to and --offset")
	case f.givenOffset:
		r.Seek.To, r.Seek.Offset = control.ToOffset, &f.offset
	case f.to != control.ToStart && f.to != control.ToEnd:
		at, err := time.Parse(time.RFC3339, f.to)
		if err != nil {
			return r, usagef("--to is start, end, or a time such as 2026-03-01T12:00:00Z, and not %q", f.to)
		}
		r.Seek.To, r.Seek.Time = control.ToTime, &at
	}
	if err := r.Check(); err != nil {
		return r, usageError{err}
	}
	return r, nil
}

// whoAmI is what the log of providers is told of who acts, where no token says it.
func whoAmI() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// token is what is shown at admin addresses.
func (f *ctlFlags) token() (string, error) {
	if len(f.addresses) == 0 {
		if f.tokenFile != "" {
			return "", usagef("--token-file goes with --address only")
		}
		return "", nil
	}
	text, _ := f.lookupEnv(tokenVariable)
	if f.tokenFile != "" {
		content, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return "", usagef("--token-file: %w", err)
		}
		text = string(content)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", usagef("who acts at an admin address shows a token: give --token-file, or set %s", tokenVariable)
	}
	return text, nil
}

func (f *ctlFlags) run(ctx context.Context, out io.Writer, action control.Action, link string) error {
	request, err := f.request(action, link)
	if err != nil {
		return err
	}
	token, err := f.token()
	if err != nil {
		return err
	}
	asker, err := f.asker(token)
	if err != nil {
		return err
	}
	defer asker.Close()
	asked, err := asker.Ask(ctx)
	if err != nil {
		return notAsked(err)
	}
	copies := withLink(asked, link)
	if len(copies) == 0 {
		return notAsked(fmt.Errorf("no copy that answered has a %s %s: they have %s", wordsOf(asked).Link(), link,
			cmp.Or(strings.Join(linksOf(asked), ", "), "none")))
	}
	if len(asked.Silent) > 0 && request.Action == control.Seek {
		// One that reads on would be found in the group; one that does not is not held, and could come back meanwhile.
		return notAsked(fmt.Errorf("not all copies answer, and nothing was done: %s", strings.Join(asked.Silent, "; ")))
	}
	act := acting{asker: asker, copies: copies, request: request, names: copyNames(copies)}
	var answers []control.Answer
	if action == control.Seek {
		answers, err = act.seek(ctx)
	} else {
		answers, err = act.all(ctx, request)
	}
	if printErr := f.print(out, answers, act.names); printErr != nil {
		return fmt.Errorf("printing what was done: %w", printErr)
	}
	if len(asked.Silent) > 0 {
		err = errors.Join(err, notAsked(fmt.Errorf("no answer: %s", strings.Join(asked.Silent, "; "))))
	}
	return err
}

// withLink are the copies that have a link that is called so.
func withLink(a *overview.Answer, link string) (copies []*status.Provider) {
	for i := range a.Providers {
		p := &a.Providers[i]
		if slices.ContainsFunc(p.Links, func(l status.Link) bool {
			return link == l.ID() || link == l.Component+"/"+l.Name || link == l.Name
		}) {
			copies = append(copies, p)
		}
	}
	return copies
}

func linksOf(a *overview.Answer) (names []string) {
	for i := range a.Providers {
		for j := range a.Providers[i].Links {
			l := &a.Providers[i].Links[j]
			names = append(names, redact.OneLine(l.Component+"/"+l.Name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// acting is one action on all copies.
type acting struct {
	asker   overview.Asker
	copies  []*status.Provider
	request control.Request
	names   map[string]string // of the copies, by their instance ids
}

// all has every copy do the same at once. The error says which have not.
func (a *acting) all(ctx context.Context, request control.Request) ([]control.Answer, error) {
	answers, errs := a.each(ctx, request)
	return answers, errors.Join(errs...)
}

// each has every copy do the same at once, and returns the answer and the error of each.
func (a *acting) each(ctx context.Context, request control.Request) ([]control.Answer, []error) {
	answers := make([]control.Answer, len(a.copies))
	errs := make([]error, len(a.copies))
	var asked sync.WaitGroup
	for i, one := range a.copies {
		asked.Go(func() { answers[i], errs[i] = a.one(ctx, one, request) })
	}
	asked.Wait()
	return answers, errs
}

func (a *acting) one(ctx context.Context, on *status.Provider, request control.Request) (control.Answer, error) {
	answer, err := a.asker.Act(ctx, on, request)
	answer.ProviderKey, answer.HostID, answer.InstanceID = on.ProviderKey, on.HostID, on.InstanceID
	if err != nil {
		answer.OK, answer.Error, answer.Code = false, err.Error(), control.CodeFailed
		return answer, notAsked(fmt.Errorf("%s: %w", a.names[on.InstanceID], err))
	}
	if !answer.OK {
		return answer, fmt.Errorf("%s: %s", a.names[on.InstanceID], redact.OneLine(answer.Error))
	}
	return answer, nil
}

// wordsOf are the words for what the copies have: those of a bridge where all of them are bridges.
func wordsOf(a *overview.Answer) status.Words {
	for i := range a.Providers {
		if a.Providers[i].Words != status.OfRoutes {
			return status.OfLinks
		}
	}
	if len(a.Providers) == 0 {
		return status.OfLinks
	}
	return status.OfRoutes
}

// copyNames tell copies apart: by their instance ids too, where two have the same host.
func copyNames(copies []*status.Provider) map[string]string {
	name := func(p *status.Provider) string {
		return redact.OneLine(fmt.Sprintf("%s %s on host %s", p.Words.Pick("provider", "bridge"), p.ProviderKey, p.HostID))
	}
	named := make(map[string]int)
	for _, p := range copies {
		named[name(p)]++
	}
	names := make(map[string]string, len(copies))
	for _, p := range copies {
		names[p.InstanceID] = name(p)
		if named[name(p)] > 1 {
			names[p.InstanceID] += ", copy " + redact.OneLine(p.InstanceID)
		}
	}
	return names
}

const (
	// seekHolds is for how many seconds copies read nothing at most while offsets are set, should this process end.
	seekHolds = 90
	// releaseTimeout bounds the end of that, which Ctrl-C does not spare.
	releaseTimeout = 5 * time.Second
)

// seek has all copies read nothing, one of them set the offsets, and all go on.
func (a *acting) seek(ctx context.Context) ([]control.Answer, error) {
	request := a.request
	// What makes no sense is found out while all read on: a hold may give up calls that are under way.
	if answer, err := a.trySeek(ctx); err != nil || request.DryRun {
		return []control.Answer{answer}, err
	}
	request.Hold = rand.Text()
	hold := control.Request{
		Action: control.Hold, Link: request.Link, By: request.By, Hold: request.Hold, Seconds: seekHolds,
	}
	held, err := a.all(ctx, hold)
	var answers []control.Answer
	if err != nil {
		answers = slices.DeleteFunc(held, func(one control.Answer) bool { return one.OK })
	} else {
		var one control.Answer
		one, err = a.one(ctx, a.copies[0], request)
		answers = []control.Answer{one}
	}
	release := hold
	release.Action, release.Seconds = control.Release, 0
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, late := a.all(within, release); late != nil {
		err = errors.Join(err, fmt.Errorf("reading goes on within %d s only: %w", seekHolds, late))
	}
	return answers, err
}

// trySeek is what a seek would do, and changes nothing. It is refused as that one is where somebody is in the group who
// is none of the copies.
func (a *acting) trySeek(ctx context.Context) (control.Answer, error) {
	dry := a.request
	dry.DryRun = true
	answers, errs := a.each(ctx, dry)
	if errs[0] != nil {
		return answers[0], errs[0]
	}
	var unknown string
	if dry.Leaving, unknown = membersOf(answers, dry); unknown != "" {
		answers[0].Note = "whether others read in its group is found out by the seek itself: " + unknown
		return answers[0], nil
	}
	return a.one(ctx, a.copies[0], dry)
}

// membersOf are the members as whom copies read, which a dry run is to leave out, or why that is not known. What else
// the answers say does not count: it is the first copy that sets the offsets.
func membersOf(answers []control.Answer, dry control.Request) (members []string, unknown string) {
	dry.Leaving = []string{}
	for i := range answers {
		if answers[i].Members == nil {
			return nil, "not all copies tell as whom they read"
		}
		dry.Leaving = append(dry.Leaving, answers[i].Members...)
	}
	if err := dry.Check(); err != nil {
		return nil, err.Error()
	}
	return dry.Leaving, ""
}

func (f *ctlFlags) print(out io.Writer, answers []control.Answer, names map[string]string) error {
	if f.asJSON {
		return printJSON(out, answers)
	}
	var b strings.Builder
	for i := range answers {
		one := &answers[i]
		if !one.OK {
			continue // the error says it
		}
		fmt.Fprintf(&b, "%s: %s", names[one.InstanceID], redact.OneLine(strings.Join(one.Links, ", ")))
		if one.Note != "" {
			fmt.Fprintf(&b, ": %s", redact.OneLine(one.Note))
		}
		b.WriteByte('\n')
		for _, m := range one.Moves {
			from := fmt.Sprint(m.From)
			if m.From < 0 {
				from = "no offset"
			}
			fmt.Fprintf(&b, "  %s/%d: from %s to %d\n", redact.OneLine(m.Topic), m.Partition, from, m.To)
		}
	}
	if f.dryRun && b.Len() > 0 {
		b.WriteString("nothing was done: this is what would be\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
