package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// checkFlags are the flags of check as they were typed.
type checkFlags struct {
	args, set                        []string
	file, manifest                   string
	provider, component, link        string
	lattice                          string
	secrets, secretFiles, secretEnvs []string
	iface                            string
	source, asJSON                   bool
	timeout                          time.Duration
}

func newCheck() *cobra.Command {
	var flags checkFlags
	command := &cobra.Command{
		Use:   "check [KEY=VALUE]...",
		Short: "Say whether a link can work with its Kafka, and if not, why",
		Long: `Say whether a link can work with its Kafka, and if not, why and what to do.

The way is gone step by step, with a line for each: the settings, the name and port of each host, TLS, SASL, the
versions of the broker, the cluster and the address that each of its brokers advertises, the topics, the rights to
read them, to join the group and to write, and how far the group is behind.

It changes nothing. Nothing is joined, produced, committed or created; whether a missing topic could be created the
broker is asked without creating it. Rights are found out by asking: from Kafka 2.3 on,
brokers tell which operations the user may do on the topics, group and cluster that it may describe.

The settings are those of one link, as arguments or in a file, or those of the links in the wadm manifests of a file,
of which the provider's own config is checked as well, and keys that mean nothing are told. Where a manifest refers
to secrets or to configs that the lattice has already, give them with the flags; a secret goes to the links that name
it. Secrets are never shown. For the file of a bridge there is messaging-kafka bridge check.

The exit status is 0 where all is well or no more than a warning, 1 where something failed, 2 where the command line
or a file cannot be understood.

The fields of --json keep their names: status, links (kind, link, direction, interface, status, steps, lag), of each
step step, target, status (ok, warn, fail, skipped), class and text, of each lag topic, partition, committed, start,
end and lag. The kind is link, route, or provider and manifest for what is to be said of these.`,
		Example: `  messaging-kafka check hosts=kafka.example.com:9092 topic=orders --component shop-mailer
  messaging-kafka check hosts=kafka.example.com:9092 topic=texts --interface messaging-kafka:records/processor
  messaging-kafka check --file link.properties --secret-file sasl_password=/run/secrets/kafka
  messaging-kafka check --manifest wadm.yaml --component mailer --secret-env sasl_password=KAFKA_PASSWORD --json`,
		RunE: func(command *cobra.Command, args []string) error {
			flags.args = args
			return flags.run(command)
		},
	}
	command.ValidArgsFunction = completeSettings
	addLinkFlags(command, &flags)
	set := command.Flags()
	set.DurationVar(&flags.timeout, "timeout", check.DefaultTimeout, "longest `TIME` for the check of one link")
	set.BoolVar(&flags.asJSON, "json", false, "print JSON")
	return command
}

// addLinkFlags adds the flags that say which link is meant, for other commands too.
func addLinkFlags(command *cobra.Command, flags *checkFlags) {
	set := command.Flags()
	set.StringArrayVar(&flags.set, "set", nil, "setting `KEY=VALUE` of the link, as an argument is; repeatable, beats files")
	set.StringVar(&flags.file, "file", "", "read settings from `FILE`, one key=value on a line (- for standard input)")
	set.StringVar(&flags.manifest, "manifest", "", "the links of the wadm manifest `FILE`")
	set.StringVar(&flags.provider, "provider", "",
		"`NAME` of the provider in the manifest, where it has several for messaging")
	set.StringVar(&flags.component, "component", "",
		"in a manifest, only links of the component `NAME`; else the id of the link's component")
	set.StringVar(&flags.link, "link", "",
		"in a manifest, only links of this `NAME`; else the link's name (default \"default\")")
	set.StringVar(&flags.lattice, "lattice", "default", "`NAME` of the lattice, which the default group has in it")
	set.StringVar(&flags.iface, "interface", "", "`PACKAGE/NAME` of the link's interface, such as "+role.Process.String()+
		" (default "+role.Messaging.String()+")")
	set.BoolVar(&flags.source, "source", false, "the same as --interface "+role.Messages.String())
	set.StringArrayVar(&flags.secrets, "secret", nil,
		"secret `KEY=VALUE` of the link (which other users of this machine may see); repeatable")
	set.StringArrayVar(&flags.secretFiles, "secret-file", nil, "secret `KEY=FILE` that stands in a file; repeatable")
	set.StringArrayVar(&flags.secretEnvs, "secret-env", nil,
		"secret `KEY=VARIABLE` that stands in the environment; repeatable")
}

// completeSettings completes the names of settings.
func completeSettings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, d := range settings.Describe() {
		if d.Place == settings.OnLinks || d.Place == settings.OnLinksOrAbove {
			names = append(names, d.Name+"=")
		}
	}
	return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// checkReport is the JSON form of all results.
type checkReport struct {
	Status check.Status   `json:"status"`
	Links  []check.Result `json:"links"`
}

func (f checkFlags) run(command *cobra.Command) error {
	links, err := f.links(command.InOrStdin())
	if err != nil {
		return usageError{err}
	}
	return runChecks(command, links, f.manifest != "", f.asJSON, f.timeout)
}

// runChecks checks links and prints what is found.
func runChecks(command *cobra.Command, links []check.Link, names, asJSON bool, timeout time.Duration) error {
	out := command.OutOrStdout()
	printer := check.Printer{Out: out, Colour: inColour(out)}
	report := checkReport{Status: check.OK}
	var failed []string
	var printing error
	for i := range links {
		link := &links[i]
		opts := check.Options{Timeout: timeout}
		if !asJSON {
			if names {
				fmt.Fprintf(out, "%s%s\n", strings.Repeat("\n", min(i, 1)), link.Title())
			}
			opts.Each = printer.Print
		}
		result := check.Run(command.Context(), *link, opts)
		report.Links = append(report.Links, result)
		if result.Status == check.Fail {
			failed = append(failed, link.Title())
			report.Status = check.Fail
		} else if result.Status == check.Warn && report.Status == check.OK {
			report.Status = check.Warn
		}
		if !asJSON {
			printing = errors.Join(printing, printer.Flush())
			fmt.Fprintf(out, "%d ok, %d to be aware of, %d failed, %d skipped\n", result.Count(check.OK),
				result.Count(check.Warn), result.Count(check.Fail), result.Count(check.Skipped))
		}
	}
	if asJSON {
		printing = printJSON(out, report)
	}
	if printing != nil {
		return fmt.Errorf("printing what was found: %w", printing)
	}
	if len(failed) > 0 {
		return fmt.Errorf("not well: %s", strings.Join(failed, "; "))
	}
	return nil
}

// none tells that the flags say nothing of a link. Secrets alone may say all: kafka_properties does.
func (f checkFlags) none() bool {
	given := len(f.args) + len(f.set) + len(f.secrets) + len(f.secretFiles) + len(f.secretEnvs)
	return given == 0 && f.file == "" && f.manifest == ""
}

// links reads everything that the flags name.
func (f checkFlags) links(in io.Reader) ([]check.Link, error) {
	if f.none() {
		return nil, errors.New("there is nothing to check: give settings as KEY=VALUE, or with --set, --file or --manifest")
	}
	if f.timeout <= 0 {
		return nil, errors.New("--timeout must be longer than 0")
	}
	config, err := f.config(in)
	if err != nil {
		return nil, err
	}
	secrets, err := f.readSecrets()
	if err != nil {
		return nil, err
	}
	if f.manifest == "" {
		if f.provider != "" {
			return nil, errors.New("--provider goes with --manifest only")
		}
		name := f.link
		if name == "" {
			name = "default"
		}
		does, err := f.role()
		if err != nil {
			return nil, err
		}
		return []check.Link{{Name: name, Role: does, Interface: does.String(), Input: settings.Input{
			Config: config, Secrets: secrets,
			Identity: settings.Identity{Lattice: f.lattice, Component: f.component, LinkName: name},
		}}}, nil
	}
	if f.source || f.iface != "" {
		return nil, errors.New("--interface and --source do not go with --manifest, which tells them of each link")
	}
	text, err := readBounded(f.manifest, in)
	if err != nil {
		return nil, fmt.Errorf("--manifest: %w", err)
	}
	links, err := check.ReadManifest(text, check.ManifestOptions{
		Provider: f.provider, Component: f.component, LinkName: f.link, Lattice: f.lattice, Config: config, Secrets: secrets,
	})
	if err != nil {
		return nil, fmt.Errorf("--manifest %s: %w", f.manifest, err)
	}
	return links, nil
}

// role is what a link that is given by its settings has the provider do.
func (f checkFlags) role() (role.Role, error) {
	switch {
	case f.iface != "" && f.source:
		return 0, errors.New("--interface tells the direction, so that --source does not go with it")
	case f.source:
		return role.Messages, nil
	case f.iface == "":
		return role.Messaging, nil
	}
	pkg, name, ok := strings.Cut(f.iface, "/")
	if !ok {
		return 0, fmt.Errorf("--interface is of the form PACKAGE/NAME, such as %s", role.Process)
	}
	name, _, _ = strings.Cut(name, "@")          // as WIT writes an interface
	for _, source := range []bool{false, true} { // an interface goes one way only
		if does, err := role.Of(source, pkg, []string{name}); err == nil {
			return does, nil
		}
	}
	return 0, fmt.Errorf("--interface: no link of this provider has the interface %s", f.iface)
}

func (f checkFlags) config(in io.Reader) (map[string]string, error) {
	config := make(map[string]string)
	if f.file != "" {
		text, err := readBounded(f.file, in)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		if config, err = check.ReadProperties(strings.NewReader(string(text))); err != nil {
			return nil, fmt.Errorf("--file %s: %w", f.file, err)
		}
	}
	for _, source := range []struct {
		name  string
		given []string
	}{{"an argument", f.args}, {"--set", f.set}} {
		set, err := pairs(source.name, "VALUE", source.given)
		if err != nil {
			return nil, err
		}
		maps.Copy(config, set)
	}
	return config, nil
}

func (f checkFlags) readSecrets() (map[string]settings.Secret, error) {
	secrets := make(map[string]settings.Secret)
	put := func(flag, key, text string) error {
		if _, twice := secrets[key]; twice {
			return fmt.Errorf("%s: the secret %s is given twice", flag, key)
		}
		secrets[key] = settings.NewSecret(text)
		return nil
	}
	for _, source := range []struct {
		flag, form string
		given      []string
		read       func(string) (string, error)
	}{
		{"--secret", "VALUE", f.secrets, func(text string) (string, error) { return text, nil }},
		{"--secret-file", "FILE", f.secretFiles, func(path string) (string, error) {
			text, err := readBounded(path, nil)
			return strings.TrimRight(string(text), "\r\n"), err
		}},
		{"--secret-env", "VARIABLE", f.secretEnvs, func(name string) (string, error) {
			text, set := os.LookupEnv(name)
			if !set {
				return "", fmt.Errorf("the environment has no variable %s", name)
			}
			return text, nil
		}},
	} {
		given, err := pairs(source.flag, source.form, source.given)
		if err != nil {
			return nil, err
		}
		for key, text := range given {
			value, err := source.read(text)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", source.flag, key, err)
			}
			if err := put(source.flag, key, value); err != nil {
				return nil, err
			}
		}
	}
	return secrets, nil
}

// pairs reads KEY=VALUE arguments. An argument that cannot be read is not repeated: it may be a secret.
func pairs(flag, form string, args []string) (map[string]string, error) {
	values := make(map[string]string)
	for _, arg := range args {
		key, value, found := strings.Cut(arg, "=")
		if key = strings.TrimSpace(key); !found || key == "" {
			return nil, fmt.Errorf("%s is of the form KEY=%s", flag, form)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s gives %s twice", flag, key)
		}
		values[key] = value
	}
	return values, nil
}

// maxInput bounds the files that check reads; certificates and manifests are far smaller.
const maxInput = 16 << 20

// readBounded reads a file, standard input where its name is - and there is one.
func readBounded(path string, in io.Reader) ([]byte, error) {
	if path != "-" || in == nil {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it was only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxInput>>20)
	}
	return text, err
}
