package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// bridgeCheckFlags are the flags of bridge check as they were typed.
type bridgeCheckFlags struct {
	config  string
	asJSON  bool
	timeout time.Duration
}

func newBridgeCheck() *cobra.Command {
	var flags bridgeCheckFlags
	command := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Say whether each route of a bridge can work, and if not, why",
		Long: `Say whether each route of a bridge can work with its Kafka and its application, and if not, why and what to do.

For each route the way to Kafka is gone step by step, as messaging-kafka check does for a link, and the application is
asked by a HEAD request, with the route's credentials, or NATS by a connection, on which rights to subscribe are tried
that can be without taking a message, and JetStream is asked of the streams that the route needs. The addresses listen
and admin_address are listened on for a moment, unless the bridge runs already. It changes nothing. Nothing is joined,
produced, committed or created, and no record is handed over.

The exit status is 0 where all is well or no more than a warning, 1 where something failed, 2 where the command line or
the file cannot be used: it cannot be understood, or the bridge would not start with it. The fields of --json
are those of messaging-kafka check --json.`,
		Example: "  messaging-kafka bridge check --config bridge.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return flags.run(command) },
	}
	set := command.Flags()
	set.StringVarP(&flags.config, "config", "c", "", "`FILE` with the routes")
	set.DurationVar(&flags.timeout, "timeout", check.DefaultTimeout, "longest `TIME` for the check of one route")
	set.BoolVar(&flags.asJSON, "json", false, "print JSON")
	return command
}

func (f bridgeCheckFlags) run(command *cobra.Command) error {
	switch {
	case f.config == "":
		return usagef("which routes? give --config FILE")
	case f.timeout <= 0:
		return usagef("--timeout must be longer than 0")
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for the name of the machine: %w", err)
	}
	read, err := config.Read(config.Options{Path: f.config, Lookup: os.LookupEnv, Host: host})
	if err != nil {
		if text, unread := readBounded(f.config, nil); unread == nil && check.IsManifest(text) {
			err = fmt.Errorf("%s is no bridge's file but a wadm manifest: check it by messaging-kafka check --manifest FILE", f.config)
		}
		return exitError{lines(err), exitUsage}
	}
	if err := bridge.CheckStart(read); err != nil {
		return exitError{fmt.Errorf("the bridge would not start: %w", lines(err)), exitUsage}
	}
	above := check.Link{Kind: check.KindFile, Name: f.config,
		Input: settings.Input{Config: read.Own, Secrets: read.OwnSecrets}}
	notes := make(map[string][]check.Finding) // of routes
	for _, w := range append(bridge.Contradictions(read), read.Warnings...) {
		note := check.Finding{Step: check.StepSettings, Target: w.Key, Status: check.Warn,
			Text: fmt.Sprintf("%s (line %d)", w.Text, w.Line)}
		if route, key, found := config.RouteOf(w.Key); found {
			note.Target = key
			notes[route] = append(notes[route], note)
		} else {
			above.Notes = append(above.Notes, note)
		}
	}
	above.Notes = append(above.Notes, tryListen(command.Context(), read)...)
	var links []check.Link
	if len(above.Notes) > 0 {
		links = append(links, above)
	}
	for _, r := range read.Routes {
		links = append(links, check.Link{
			Kind: check.KindRoute, Name: r.Name, Role: bridge.RoleOf(r), Input: read.Input(r, host), Notes: notes[r.Name],
			Also: func(ctx context.Context) []check.Finding { return askApplication(ctx, r) },
		})
	}
	return runChecks(command, links, true, f.asJSON, f.timeout)
}

// tryListen says whether the addresses of a file can be listened on here and now. One that the bridge of the file has
// already is no fault of the file.
func tryListen(ctx context.Context, read *config.Config) []check.Finding {
	var found []check.Finding
	for _, one := range bridge.TryListen(ctx, read) {
		f := check.Finding{
			Step: check.StepListen, Target: one.Key, Status: check.OK, Text: one.Address + " can be listened on",
		}
		switch at := fmt.Sprintf("%s (line %d)", one.Address, one.Line); {
		case one.Err == nil:
		case one.By == bridge.ThisBridge:
			f.Status, f.Text = check.Skipped, fmt.Sprintf("%s is not tried: the bridge %s runs here already and listens there", at, read.Name)
		case one.By == bridge.SomeBridge:
			f.Status, f.Text = check.Warn, at+" is taken by a bridge that runs already: all is well if it is the one of this file, and a second one cannot start beside it"
		case one.By == bridge.OtherBridge:
			f.Status, f.Text = check.Fail, at+" is taken by another bridge: give each an address of its own"
		case one.Key == keyListen:
			f.Status, f.Text = check.Fail, fmt.Sprintf("%s cannot be listened on, and the bridge would not start here: %v", at, one.Err)
		default:
			f.Status, f.Text = check.Fail, fmt.Sprintf("%s cannot be listened on, and the bridge would start here without it and be unhealthy: %v", at, one.Err)
		}
		found = append(found, f)
	}
	return found
}

// keyListen is the key of a bridge's file without which the bridge serves no callers.
const keyListen = "listen"

// askApplication says whether the application of a route is there.
func askApplication(ctx context.Context, r *config.Route) []check.Finding {
	var found []check.Finding
	if r.Settings.NATS.Server.Given() {
		found = append(found, askNATS(ctx, r)...)
	}
	if !r.Settings.HTTP.Deliver.OverHTTP() {
		return found
	}
	return append(found, askURL(ctx, r))
}

// askNATS says whether the NATS of a route takes it.
func askNATS(ctx context.Context, r *config.Route) []check.Finding {
	f := check.Finding{Step: check.StepNATS, Status: check.OK, Text: "the server at nats_url answers, and takes the credentials"}
	probed, err := bridge.ProbeNATS(ctx, r)
	var found []check.Finding
	if len(probed.LeftOut) > 0 {
		found = append(found, check.Finding{
			Step: check.StepNATS, Target: "nats_tls_ca_file", Status: check.Warn,
			Text: fmt.Sprintf("has certificates that cannot be read and are left out (numbers %v)", probed.LeftOut),
		})
	}
	if err != nil {
		f.Status, f.Text = check.Fail, fmt.Sprintf("the server at nats_url cannot be used: %v; records would wait", err)
		return append(found, f)
	}
	found = append(found, f)
	for _, subject := range probed.Refused {
		found = append(found, check.Finding{
			Step: check.StepNATS, Status: check.Fail, Text: "the user may not subscribe to " + subject + ": allow it",
		})
	}
	for _, wrong := range probed.Wrong {
		found = append(found, check.Finding{Step: check.StepNATS, Status: check.Fail, Text: wrong})
	}
	if len(probed.Unknown) > 0 {
		found = append(found, check.Finding{
			Step: check.StepNATS, Status: check.Skipped, Text: "not checked: " + strings.Join(probed.Unknown, ", "),
		})
	}
	if len(probed.NotTried) > 0 {
		found = append(found, check.Finding{
			Step: check.StepNATS, Status: check.Skipped,
			Text: "not checked, since trying it has effects: whether the user may " + strings.Join(probed.NotTried, ", "),
		})
	}
	return found
}

// askURL says whether somebody answers at the URL of a route, and what the bridge would make of such an answer to
// records: it judges alike.
func askURL(ctx context.Context, r *config.Route) check.Finding {
	finding := func(s check.Status, format string, args ...any) check.Finding {
		return check.Finding{Step: check.StepURL, Status: s, Text: fmt.Sprintf(format, args...)}
	}
	probed, err := bridge.Probe(ctx, r)
	if err != nil {
		return finding(check.Fail, "no request can be made: %v", err)
	}
	const perhaps = "(some applications answer so to HEAD alone)"
	o, refused := probed.Outcome, (*record.Refusal)(nil)
	switch {
	case o.Kind == record.Done, probed.Status == http.StatusMethodNotAllowed, probed.Status == http.StatusNotImplemented:
		return finding(check.OK, "the application at url answers")
	case o.Kind == record.Unavailable && (probed.Status == 0 || errors.As(o.Err, &refused)):
		return finding(check.Fail, "%v; records would wait", o.Err)
	case o.Kind == record.Unavailable:
		return finding(check.Warn, "%v to HEAD, which means that nobody is there: records would wait %s", o.Err, perhaps)
	case o.Kind == record.Unanswered:
		return finding(check.Fail, "%v; records would be delivered again, and be given up after max_attempts", o.Err)
	case o.Kind == record.Reject:
		return finding(check.Warn, "%v to HEAD: records that it answers so would be rejected %s", o.Err, perhaps)
	default:
		return finding(check.Warn, "%v to HEAD: records that it answers so would be delivered again %s", o.Err, perhaps)
	}
}

// lines is an error about a file with each of its parts on a line of its own.
func lines(err error) error {
	var all config.Errors
	if !errors.As(err, &all) || len(all) == 1 {
		return err
	}
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = one.Error()
	}
	return errors.New(strings.Join(texts, "\nmessaging-kafka: "))
}

func newBridgeSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a bridge's file, for editors",
		Long: `Print the JSON Schema of a bridge's file. Editors that know YAML complete keys with it and mark what is wrong; the first
line of a file names it:

  # yaml-language-server: $schema=bridge.schema.json`,
		Example: "  messaging-kafka bridge schema > bridge.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err == nil {
				_, err = command.OutOrStdout().Write(schema)
			}
			return err
		},
	}
}
