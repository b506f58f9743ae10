package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/overview"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/admin"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// askFlags say which providers are asked.
type askFlags struct {
	addresses   []string
	nats, creds string
	lattice     string
	providers   []string
	timeout     time.Duration
}

// statusFlags are the flags of status as they were typed.
type statusFlags struct {
	askFlags
	watch, asJSON bool
	page          string
	every         time.Duration
}

// exitNotAsked is the exit code of a status that could not be asked for.
const exitNotAsked = 2

func newStatus() *cobra.Command {
	var flags statusFlags
	command := &cobra.Command{
		Use:   "status",
		Short: "Show what running providers do: links, state, lag, rates",
		Long: `Show what running providers do: for each link its state and why, records in and out a second, deliveries that fail
and that are repeated a second, the time that its component takes, what is in flight, how far it is behind, and for how
long it has been so. A narrow terminal leaves out the columns that matter least. Behind a reason stands where the
runbook says what to do. Hosts are told by the beginning of their ids; --json has all of it.

Providers are asked at their admin address (--address, where the provider's config sets admin_address), or over the
lattice (--nats), which needs no more than a NATS connection to it. Over NATS, the hosts of the lattice are asked first
which providers they run; --provider names them instead.

With --watch it goes on: at a terminal the table is drawn anew, elsewhere each look is a line for each link.

With --page it serves the page of an admin address for all who were asked together: each link once, with what all
copies have of it. Whoever reaches the address may read it; without a host in it, that is this machine alone.

The exit status is 0 where all links are healthy, 1 where one is not, 2 where somebody could not be asked. A watch
that is ended with Ctrl-C ends with 0.

The fields of --json keep their names: status (healthy, unhealthy, unknown), silent, and providers as GET /links of the
admin address tells them.`,
		Example: `  messaging-kafka status --address http://127.0.0.1:9464
  messaging-kafka status --nats nats://127.0.0.1:4222 --lattice default --watch
  messaging-kafka status --nats nats://127.0.0.1:4222 --provider shop-kafka --json
  messaging-kafka status --address http://bridge-0:9464 --address http://bridge-1:9464 --page 8080`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return flags.run(command) },
	}
	set := command.Flags()
	flags.add(command)
	set.BoolVar(&flags.watch, "watch", false, "go on until Ctrl-C")
	set.DurationVar(&flags.every, "every", 2*time.Second, "`TIME` between two looks of --watch")
	set.BoolVar(&flags.asJSON, "json", false, "print JSON")
	set.StringVar(&flags.page, "page", "", "serve a page of all copies at `ADDRESS` (host:port, or port) until Ctrl-C")
	return command
}

func (f *askFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringArrayVar(&f.addresses, "address", nil, "ask the provider whose admin address is `URL`; repeatable")
	set.StringVar(&f.nats, "nats", "", "ask the providers of the lattice whose NATS server is at `URL`")
	set.StringVar(&f.creds, "creds", "", "`FILE` with the credentials of a NATS user")
	set.StringVar(&f.lattice, "lattice", "default", "`NAME` of the lattice")
	set.StringArrayVar(&f.providers, "provider", nil,
		"`KEY` of a provider in the lattice; repeatable (default: all that its hosts run)")
	set.DurationVar(&f.timeout, "timeout", 2*time.Second, "longest `TIME` to wait for answers")
}

func (f statusFlags) run(command *cobra.Command) error {
	if f.every <= 0 {
		return usagef("--every must be longer than 0")
	}
	if f.page != "" && (f.watch || f.asJSON) {
		return usagef("--page goes on by itself and prints nothing else: leave --watch and --json out")
	}
	asker, err := f.asker("")
	if err != nil {
		return err
	}
	defer asker.Close()
	ctx, out := command.Context(), command.OutOrStdout()
	if f.page != "" {
		return f.servePage(ctx, asker, out)
	}
	if f.watch {
		return f.watchOn(ctx, asker, out)
	}
	answer, err := asker.Ask(ctx)
	if err != nil {
		return notAsked(err)
	}
	if err := f.print(out, answer); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	return verdict(answer)
}

// asker asks those providers; token is what is shown at admin addresses by who acts on links.
func (f *askFlags) asker(token string) (overview.Asker, error) {
	switch {
	case f.timeout <= 0:
		return nil, usagef("--timeout must be longer than 0")
	case len(f.addresses) > 0 && f.nats != "":
		return nil, usagef("--address and --nats are two ways to ask: give one of them")
	case len(f.addresses) > 0:
		if len(f.providers) > 0 || f.creds != "" {
			return nil, usagef("--provider and --creds go with --nats only")
		}
		asker, err := overview.ByAddress(f.addresses, f.timeout, token)
		if err != nil {
			return nil, usageError{err}
		}
		return asker, nil
	case f.nats != "":
		asker, err := overview.ByNATS(overview.NATSOptions{
			URL: f.nats, Credentials: f.creds, Lattice: f.lattice, Providers: f.providers, Timeout: f.timeout,
		})
		if err != nil {
			return nil, notAsked(err)
		}
		return asker, nil
	default:
		return nil, usagef("whom to ask? give --address URL of the admin address, or --nats URL of the lattice")
	}
}

func notAsked(err error) error { return exitError{err, exitNotAsked} }

// verdict is the error of an answer that is not all well.
func verdict(answer *overview.Answer) error {
	switch answer.State() {
	case overview.Healthy:
		return nil
	case overview.Unknown:
		return notAsked(fmt.Errorf("no answer: %s", strings.Join(answer.Silent, "; ")))
	case overview.Unhealthy:
	}
	var bad []string
	for i := range answer.Providers {
		p := &answer.Providers[i]
		before := len(bad)
		for j := range p.Links {
			if p.Links[j].State.Ill() {
				bad = append(bad, p.Words.Link()+" "+p.Links[j].ID())
			}
		}
		if len(bad) == before && !p.Healthy {
			bad = append(bad, "provider "+p.ProviderKey)
		}
	}
	return fmt.Errorf("not healthy: %s", strings.Join(bad, ", "))
}

// statusReport is the JSON form of an answer.
type statusReport struct {
	Status    overview.State    `json:"status"`
	Time      time.Time         `json:"time"`
	Silent    []string          `json:"silent,omitempty"`
	Providers []status.Provider `json:"providers"`
}

func reportOf(a *overview.Answer) statusReport {
	return statusReport{a.State(), a.Time, a.Silent, append([]status.Provider{}, a.Providers...)}
}

func (f statusFlags) print(out io.Writer, answer *overview.Answer) error {
	if f.asJSON {
		return printJSON(out, reportOf(answer))
	}
	style := overview.Style{}
	if file, ok := out.(*os.File); ok && isTerminal(file) {
		style.Colour = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			style.Width = max(width, minWidth)
		}
	}
	return overview.Table(out, answer, style)
}

// minWidth keeps sentences readable where a terminal claims to have no width.
const minWidth = 40

// watchOn asks again and again until ctx ends.
func (f statusFlags) watchOn(ctx context.Context, asker overview.Asker, out io.Writer) error {
	show := f.printLines
	if f.asJSON {
		show = f.printJSONLine
	} else if file, ok := out.(*os.File); ok && isTerminal(file) {
		show = f.redraw(file)
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		answer, err := asker.Ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			answer = &overview.Answer{Time: time.Now(), Silent: []string{err.Error()}}
		}
		if err := show(out, answer); err != nil {
			return fmt.Errorf("printing the status: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// servePage serves a page of all who are asked, until ctx ends.
func (f statusFlags) servePage(ctx context.Context, asker overview.Asker, out io.Writer) error {
	answer, err := asker.Ask(ctx)
	if err != nil {
		return notAsked(err)
	}
	board := overview.NewBoard(answer)
	server, err := admin.Start(admin.Config{Address: f.page, AddressFrom: "--page", Source: board})
	if err != nil {
		return usageError{err}
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageEnd)
		defer cancel()
		server.Close(within)
	}()
	if _, err := fmt.Fprintf(out, "The page is http://%s/; Ctrl-C ends it.\n", server.Addr()); err != nil {
		return fmt.Errorf("printing the address of the page: %w", err)
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if answer, err = asker.Ask(ctx); err != nil {
			answer = &overview.Answer{Time: time.Now(), Silent: []string{err.Error()}}
		}
		board.Show(answer)
	}
}

// pageEnd bounds what answers of the page have at its end.
const pageEnd = time.Second

func (statusFlags) printLines(out io.Writer, answer *overview.Answer) error {
	return overview.Lines(out, answer)
}

func (statusFlags) printJSONLine(out io.Writer, answer *overview.Answer) error {
	return json.NewEncoder(out).Encode(reportOf(answer))
}

// redraw draws each answer over the one before: from the top of the terminal, each line to its end, then all below.
func (f statusFlags) redraw(file *os.File) func(io.Writer, *overview.Answer) error {
	const wipe, home, toLineEnd, toEnd = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
	first := true
	return func(out io.Writer, answer *overview.Answer) error {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil {
			width, height = 0, 0 // it is drawn as it is
		}
		var table strings.Builder
		fmt.Fprintf(&table, "messaging-kafka status, every %s, as of %s; Ctrl-C ends\n\n", f.every,
			answer.Time.Format(time.TimeOnly))
		if err := overview.Table(&table, answer,
			overview.Style{Colour: os.Getenv("NO_COLOR") == "", Width: width}); err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")
		if height > 1 && len(lines) > height-1 { // the last line stays free, so that nothing scrolls
			more := len(lines) - (height - 2)
			lines = append(lines[:height-2], fmt.Sprintf("… %d more lines", more))
		}
		text := home + strings.Join(lines, toLineEnd+"\n") + toLineEnd + "\n" + toEnd
		if first {
			text, first = wipe+text, false
		}
		_, err = io.WriteString(out, text)
		return err
	}
}
