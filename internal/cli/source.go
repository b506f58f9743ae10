package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// sourceFlags say with which settings a topic is looked at: those of a link, as check takes them, or of a bridge's
// route.
type sourceFlags struct {
	link          checkFlags
	config, route string
	// committed has committed records alone be read, whatever isolation says: what was aborted comes again.
	committed bool
}

// sourceHelp is what commands with sourceFlags say of them.
const sourceHelp = `The settings are those of a link, as messaging-kafka check takes them (--set, --file, --manifest), or of a route of
a bridge (--config, --route), with all that they say of TLS and SASL. Secrets are given as to check.`

func (f *sourceFlags) add(command *cobra.Command) {
	addLinkFlags(command, &f.link)
	f.link.timeout = check.DefaultTimeout // of which these commands have no flag
	set := command.Flags()
	set.StringVarP(&f.config, "config", "c", "", "the routes of the bridge's `FILE`")
	set.StringVar(&f.route, "route", "", "in a bridge's file, only the route `NAME`")
}

// source is a link or route, with its settings read.
type source struct {
	name     string
	settings settings.Link
	secrets  *redact.Redactor
}

// open finds the link or route that is meant and opens a topic with its settings. topicOf says which one that is, ""
// where the link or route has none; missing is the error where none has one.
func (f *sourceFlags) open(
	command *cobra.Command, topicOf func(*settings.Link) string, missing string,
) (*browse.Source, error) {
	sources, err := f.read(command.InOrStdin(), command.ErrOrStderr())
	if err != nil {
		return nil, usageError{err}
	}
	var chosen *source
	var names []string
	for i := range sources {
		s := &sources[i]
		topic := topicOf(&s.settings)
		if topic == "" {
			continue
		}
		names = append(names, s.name)
		if chosen == nil {
			chosen = s
		} else if topic != topicOf(&chosen.settings) || !reflect.DeepEqual(s.settings.Cluster, chosen.settings.Cluster) {
			return nil, usagef("which of them? %s and others have different topics or clusters: name one with --component, --link or --route",
				strings.Join(names, ", "))
		}
	}
	if chosen == nil {
		return nil, usagef("%s", missing)
	}
	chosen.settings.Consumer.ReadCommitted = chosen.settings.Consumer.ReadCommitted || f.committed
	opened, err := browse.Open(command.Context(), chosen.settings, topicOf(&chosen.settings), chosen.secrets)
	if err != nil {
		return nil, stopped(err)
	}
	return opened, nil
}

// stopped makes an end that was asked for plain.
func stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped")
	}
	return err
}

func (f *sourceFlags) read(in io.Reader, notes io.Writer) ([]source, error) {
	if f.config != "" {
		return f.readBridge()
	}
	if f.route != "" {
		return nil, errors.New("--route goes with --config only")
	}
	if f.link.none() {
		return nil, errors.New("which Kafka? give settings with --set, --secret-file, --file, --manifest or --config")
	}
	links, err := f.link.links(in)
	if err != nil {
		return nil, err
	}
	var sources []source
	for i := range links {
		l := &links[i]
		if !l.Reaches() {
			continue
		}
		var secrets redact.Redactor
		secrets.Add(settings.SecretValues(l.Input.Defaults, l.Input.DefaultSecrets)...)
		secrets.Add(settings.SecretValues(l.Input.Config, l.Input.Secrets)...)
		for _, note := range l.Notes {
			if note.Status == check.Fail {
				return nil, fmt.Errorf("link %s: %s: %s", l.Name, note.Target, secrets.Text(note.Text))
			}
		}
		l.Input.Batches, l.Input.Records = l.Role.Batches(), l.Role.Records()
		parsed, warnings, err := settings.ParseLink(l.Input)
		if err == nil && !parsed.Consumer.Enabled() {
			// Settings about reading say something here, though the link itself does not read.
			l.Input.Config = maps.Clone(l.Input.Config)
			l.Input.Config["topic"] = "any"
			parsed, warnings, err = settings.ParseLink(l.Input)
		}
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", l.Name, secrets.Err(err))
		}
		for _, w := range warnings {
			_, err := fmt.Fprintf(notes, "messaging-kafka: link %s: %s: %s\n", l.Name, w.Key, secrets.Text(w.Text))
			if err != nil {
				return nil, err
			}
		}
		sources = append(sources, source{l.Name, parsed, &secrets})
	}
	return sources, nil
}

func (f *sourceFlags) readBridge() ([]source, error) {
	l := &f.link
	given := len(l.set) + len(l.secrets) + len(l.secretFiles) + len(l.secretEnvs)
	if given > 0 || l.file+l.manifest+l.component+l.link != "" {
		return nil, errors.New("--config has all settings in its file: of the other flags for settings only --route goes with it")
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for the name of the machine: %w", err)
	}
	read, err := config.Read(config.Options{Path: f.config, Lookup: os.LookupEnv, Host: host})
	if err != nil {
		return nil, lines(err)
	}
	var sources []source
	var names []string
	for _, r := range read.Routes {
		names = append(names, r.Name)
		if f.route == "" || f.route == r.Name {
			var secrets redact.Redactor
			secrets.Add(r.Hide...)
			sources = append(sources, source{r.Name, r.Settings, &secrets})
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("--config %s has no route %s; it has %s", f.config, f.route, strings.Join(names, ", "))
	}
	return sources, nil
}
