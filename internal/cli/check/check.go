package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// Kind is what a check is of. The words are part of the JSON form.
type Kind string

// The kinds of what is checked. Of a provider, a manifest and a file there is nothing but notes.
const (
	KindLink     Kind = "link"
	KindRoute    Kind = "route"
	KindProvider Kind = "provider"
	KindManifest Kind = "manifest"
	KindFile     Kind = "file" // of a bridge
)

// Link is a link, or a route of a bridge, to be checked, or what notes there are of something else.
type Link struct {
	// Kind is [KindLink] where it is "".
	Kind Kind
	// Name is for people.
	Name string
	// Direction says who calls whom, and Interface by what; "" where that is not known, or of no interest.
	Direction, Interface string
	// Role is what the link has the provider do; [Run] tells the settings in Input of it.
	Role  role.Role
	Input settings.Input
	// Notes are what was found while the link was read, all of StepSettings, and of a file of StepListen, too. One that is
	// a failure ends the check of a link.
	Notes []Finding
	// Also, if not nil, looks at what else the link needs, last of all.
	Also func(context.Context) []Finding
}

// Reaches tells whether it is a link or a route, which has a Kafka, and not notes of something else.
func (l *Link) Reaches() bool { return l.Kind == "" || l.Kind == KindLink || l.Kind == KindRoute }

// words are what a link, and who is behind it, are called.
func (l *Link) words() status.Words {
	if l.Kind == KindRoute {
		return status.OfRoutes
	}
	return status.OfLinks
}

// say puts the words of a link into a text, where {link} and {component} stand for them.
func (r *run) say(text string) string {
	words := r.link.words()
	return strings.NewReplacer("{link}", words.Link(), "{component}", words.Pick("component", "application")).Replace(text)
}

// Title names a link, with all that tells it from others of its name.
func (l *Link) Title() string {
	title := string(cmp.Or(l.Kind, KindLink)) + " " + l.Name
	if l.Direction != "" {
		title += ", " + l.Direction
	}
	if l.Interface != "" {
		title += ", " + l.Interface
	}
	return title
}

// Options say how a check goes about it.
type Options struct {
	// Timeout bounds the check of one link, default [DefaultTimeout].
	Timeout time.Duration
	// Logger gets the Kafka client's log; nil for none.
	Logger *slog.Logger
	// Each, if not nil, is called with each finding as soon as it is there, in order, from one goroutine.
	Each func(Finding)
}

// DefaultTimeout is how long the check of one link may take.
const DefaultTimeout = 30 * time.Second

// stepTimeout bounds a single question to Kafka, so that one that is not answered leaves time for the others.
const stepTimeout = 10 * time.Second

// run is the check of one link.
type run struct {
	secrets  redact.Redactor
	link     Link
	opts     Options
	settings settings.Link
	result   Result

	access *kafka.Access
	client *kgo.Client
	// versions are those of the first broker that was reached.
	versions *kversion.Versions
	// cluster are the rights on the cluster.
	cluster rights
	topics  map[string]kmsg.MetadataResponseTopic
	wants   []want
}

// Run checks a link. It never fails: whatever goes wrong is a finding. The end of ctx shortens the check.
func Run(ctx context.Context, link Link, opts Options) Result {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	r := &run{link: link, opts: opts, cluster: unknownRights,
		result: Result{Kind: cmp.Or(link.Kind, KindLink), Link: link.Name, Direction: link.Direction,
			Interface: link.Interface, Status: OK, Steps: []Finding{}}}
	r.secrets.Add(settings.SecretValues(link.Input.Defaults, link.Input.DefaultSecrets)...)
	r.secrets.Add(settings.SecretValues(link.Input.Config, link.Input.Secrets)...)
	if !link.Reaches() {
		r.add(link.Notes...)
		return r.result
	}
	r.run(ctx)
	r.checkSchemas(ctx)
	if link.Also != nil {
		r.add(link.Also(ctx)...)
	}
	for i := range r.result.Lag {
		r.result.Lag[i].Topic = r.secrets.Value(r.result.Lag[i].Topic)
	}
	return r.result
}

func (r *run) run(ctx context.Context) {
	if !r.readSettings() {
		r.skipFrom(StepName, "the settings cannot be used")
		return
	}
	hosts := r.reach(ctx)
	if len(hosts) == 0 {
		r.skipFrom(StepCluster, "no address in hosts leads to a Kafka that can be used")
		return
	}
	if err := r.open(hosts); err != nil {
		r.add(Finding{StepCluster, "", Fail, kafka.ClassOther, err.Error()})
		return
	}
	defer r.client.Close()
	for _, stage := range []struct {
		first Step // what comes from here on
		do    func(context.Context) (goOn bool)
		why   string
	}{
		{StepCluster, r.checkCluster, "the cluster does not answer"},
		{StepTopic, r.checkTopics, "the cluster does not tell its topics"},
		{StepGroup, r.checkGroup, ""},
		{StepWrite, r.checkWrite, ""},
		{StepLag, r.checkLag, ""},
	} {
		if ctx.Err() != nil {
			r.skipFrom(stage.first, fmt.Sprintf("the time for the check (%s) is over", r.opts.Timeout))
			return
		}
		if !stage.do(ctx) {
			r.skipFrom(stage.first, stage.why)
			return
		}
	}
}

func (r *run) add(findings ...Finding) {
	for _, f := range findings {
		f.Target, f.Text = r.secrets.Value(f.Target), r.secrets.Text(r.say(f.Text)) // brokers say what they like
		r.result.Steps = append(r.result.Steps, f)
		r.result.Status = worse(r.result.Status, f.Status)
		if r.opts.Each != nil {
			r.opts.Each(f)
		}
	}
}

func (r *run) skip(step Step, why string) { r.add(Finding{Step: step, Status: Skipped, Text: why}) }

// skipFrom skips what has not been looked at of the steps from first on, as far as they concern the link.
func (r *run) skipFrom(first Step, why string) {
	for _, step := range steps[slices.Index(steps, first):] {
		done := slices.ContainsFunc(r.result.Steps, func(f Finding) bool { return f.Step == step })
		if !done {
			r.skip(step, why)
		}
	}
}

// failed is the finding for an error of a question to Kafka.
func (r *run) failed(step Step, target string, err error) Finding {
	return failedBy(r.access, step, target, err)
}

func failedBy(access *kafka.Access, step Step, target string, err error) Finding {
	d := access.Explain(err)
	return Finding{step, target, Fail, d.Class, d.Text}
}

// readSettings tells whether they can be used.
func (r *run) readSettings() bool {
	usable := true
	for _, note := range r.link.Notes {
		r.add(note)
		usable = usable && note.Status != Fail
	}
	does := r.link.Role
	r.link.Input.Batches, r.link.Input.Records = does.Batches(), does.Records()
	parsed, warnings, err := settings.ParseLink(r.link.Input)
	for _, w := range warnings {
		told := func(n Finding) bool { return n.Target == w.Key && strings.HasPrefix(n.Text, w.Text) }
		if !slices.ContainsFunc(r.link.Notes, told) {
			r.add(Finding{StepSettings, w.Key, Warn, "", w.Text})
		}
	}
	if err == nil && usable { // of a link whose role is not known, nothing can be said
		err = does.Check(&parsed)
	}
	if err != nil {
		for _, finding := range settingsErrors(err) {
			// The notes on a setting give the better reason.
			if !slices.ContainsFunc(r.link.Notes,
				func(n Finding) bool { return n.Status == Fail && n.Target == finding.Target }) {
				r.add(finding)
			}
		}
		return false
	}
	if !usable {
		return false
	}
	r.settings = parsed
	if does.Delivers() && !parsed.Consumer.Enabled() && !r.link.Input.Route {
		r.add(Finding{StepSettings, "topic", Fail, "",
			"is missing: this link is there to hand records to its component, and hands over none without a topic"})
	}
	access, err := kafka.NewAccess(parsed.Cluster, r.opts.Logger)
	if err != nil {
		r.add(Finding{StepSettings, "", Fail, kafka.ClassOther, err.Error()})
		return false
	}
	access.Redact(&r.secrets)
	r.access = access
	if id := r.link.Input.Identity; id.Component == "" && parsed.Consumer.Enabled() &&
		parsed.Consumer.Group == anonymousGroup(id) {
		r.add(Finding{StepSettings, "consumer_group", Warn, "",
			"is not given, and its default has the id of the component in it, which is not given either: " +
				parsed.Consumer.Group + " is looked at"})
	}
	r.add(Finding{StepSettings, "", OK, "", summary(parsed)})
	return true
}

// anonymousGroup is the default group of a component without an id.
func anonymousGroup(id settings.Identity) string {
	id.Component = ""
	parsed, _, err := settings.ParseLink(settings.Input{Config: map[string]string{"topic": "any"}, Identity: id})
	if err != nil {
		return ""
	}
	return parsed.Consumer.Group
}

func settingsErrors(err error) []Finding {
	var errs settings.Errors
	var one *settings.Error
	switch {
	case errors.As(err, &errs):
	case errors.As(err, &one):
		errs = settings.Errors{one}
	default:
		return []Finding{{StepSettings, "", Fail, kafka.ClassOther, err.Error()}}
	}
	var findings []Finding
	for _, e := range errs {
		findings = append(findings, Finding{StepSettings, e.Key, Fail, "", e.Problem})
	}
	return findings
}

// summary is what the provider logs of a link.
func summary(link settings.Link) string {
	var parts []string
	for _, attr := range link.LogValue().Group() {
		parts = append(parts, attr.Key+"="+attr.Value.String())
	}
	return strings.Join(parts, " ")
}

// open makes the client for everything that is asked of the cluster as a whole.
func (r *run) open(hosts []string) error {
	cluster := r.settings.Cluster
	cluster.Hosts = hosts
	access, err := kafka.NewAccess(cluster, r.opts.Logger)
	if err != nil {
		return err
	}
	access.Redact(&r.secrets)
	// Brokers tell the rights on a group that does not exist in answers of version 5 and older only: later ones have an
	// error in their place (KIP-1043).
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.DescribeGroups), 5)
	client, err := kgo.NewClient(append(access.Options(),
		kgo.MaxVersions(versions), kgo.RequestRetries(3), kgo.RetryTimeout(stepTimeout))...)
	if err != nil {
		return err
	}
	r.access, r.client = access, client
	return nil
}

// ask sends a request to whichever broker is to answer it.
func ask[R kmsg.Response](ctx context.Context, to kmsg.Requestor, req kmsg.Request) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	var none R
	resp, err := to.Request(ctx, req)
	if err != nil {
		return none, err
	}
	answer, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("the client answered %T with %T", req, resp)
	}
	return answer, nil
}
