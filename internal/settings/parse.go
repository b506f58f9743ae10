package settings

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// draft is what values are parsed into before the rules that look at several of them.
type draft struct {
	link     Link
	provider Provider
	topic    topicChoice
	// isolation is the word behind Link.Consumer.ReadCommitted.
	isolation string
	// retryDelays and retryPrefix are those of Link.Delivery.RetryTopics.
	retryDelays []time.Duration
	retryPrefix string
	// remarks are warnings about a value that was taken.
	remarks []Warning
}

// remark has a parser say something about a value that it takes.
func (d *draft) remark(key, format string, args ...any) {
	d.remarks = append(d.remarks, Warning{Key: key, Text: fmt.Sprintf(format, args...)})
}

// parse is one run of [ParseLink] or [ParseProvider].
type parse struct {
	draft
	identity Identity
	batches  bool
	records  bool
	route    bool
	// sources are in the order in which they are asked, the strongest first.
	sources []*source
	// used holds the value that each setting got, if it got one; failed the settings whose value was refused.
	used     map[string]given
	failed   map[string]bool
	errors   Errors
	warnings []Warning
}

// ParseLink checks the settings of a link and fills in all defaults. Warnings come in a stable order, and come also
// with an error. The error is [Errors]: everything that is wrong, not only the first thing. Neither holds the value
// of a secret. Warnings about the provider's own config are left to [ParseProvider], which sees it once and not
// once per link. ParseLink is safe for concurrent use.
func ParseLink(in Input) (Link, []Warning, error) {
	own := newSource(levelLink, in.Config, in.Secrets)
	p := &parse{
		identity: in.Identity, batches: in.Batches, records: in.Records, route: in.Route,
		sources: []*source{own, newSource(levelProvider, in.Defaults, in.DefaultSecrets)},
		used:    make(map[string]given),
		failed:  make(map[string]bool),
	}
	isLink := func(s *setting) bool { return s.scope != scopeProvider && (in.Route || s.scope != scopeRoute) }
	own.warnUnknown(isLink)
	p.clashes(own)
	for _, from := range p.sources {
		p.foreign(from)
	}
	inOrder(func(s *setting) {
		if s.scope == scopeProvider {
			if g, is := own.values[s.name]; is {
				own.warn(g.spelling, "belongs in the provider's own config and is not used here")
			}
			return
		}
		if s.scope == scopeRoute && !in.Route {
			if _, is := own.values[s.name]; is {
				p.fail(s.name, "belongs on a route of `messaging-kafka bridge`, and this is a link of wasmCloud: leave it out")
			}
			return
		}
		p.apply(s)
	})
	if p.route {
		p.shapeRoute()
	}
	p.connectionRules()
	p.securityRules()
	p.destinationRules()
	p.schemaRules()
	p.consumeRules()
	p.retryRules()
	p.deliveryRules()
	p.messageRules()
	p.topicRules()
	p.publishRules()
	if p.route {
		p.routeRules()
	}
	warnings := append(own.warnings, p.warnings...)
	if len(p.errors) > 0 {
		sortErrors(p.errors)
		return Link{}, warnings, p.errors
	}
	return p.link, warnings, nil
}

// ParseProvider checks the provider's own config. A setting of the provider that cannot be used is an error, and
// the Provider that comes with it has the default in its place. A default for links that cannot be used is a
// warning, since a link may set its own; links that do not are refused by [ParseLink]. ParseProvider is safe for
// concurrent use.
func ParseProvider(config map[string]string, secrets map[string]Secret) (Provider, []Warning, error) {
	return parseOwn(config, secrets, false)
}

// ParseAbove is [ParseProvider] for what stands above the routes of a bridge, where a default for routes that cannot
// be used is an error, whether one of them uses it or not.
func ParseAbove(config map[string]string, secrets map[string]Secret) (Provider, []Warning, error) {
	return parseOwn(config, secrets, true)
}

func parseOwn(config map[string]string, secrets map[string]Secret, above bool) (Provider, []Warning, error) {
	own := newSource(levelProvider, config, secrets)
	p := &parse{
		sources: []*source{own},
		used:    make(map[string]given),
		failed:  make(map[string]bool),
	}
	own.unknown = slices.DeleteFunc(own.unknown, isTelemetry)
	own.warnUnknown(func(s *setting) bool { return s.scope != scopeLink && s.scope != scopeRoute })
	p.clashes(own)
	if above {
		p.foreign(own)
	} else {
		for _, problem := range own.problems {
			own.warn(problem.Key, "%s; links are refused", problem.Problem)
		}
	}
	inOrder(func(s *setting) {
		g, is := own.values[s.name]
		switch s.scope {
		case scopeLink:
			if is {
				own.warn(g.spelling, "belongs on a link and is not used in the provider's own config")
			}
		case scopeRoute:
			if is {
				own.warn(g.spelling, "belongs on a route of `messaging-kafka bridge` and is not used here")
			}
		case scopeProvider:
			p.apply(s)
		case scopeBoth:
			if !is {
				return
			}
			problem := p.try(s, g)
			switch {
			case problem != nil && above:
				p.errors = append(p.errors, problem)
			case problem != nil:
				own.warn(g.spelling, "%s; links that do not set it themselves are refused", problem.Problem)
			}
		}
	})
	warnings := append(own.warnings, p.warnings...)
	if len(p.errors) > 0 {
		sortErrors(p.errors)
		return p.provider, warnings, p.errors
	}
	return p.provider, warnings, nil
}

// foreign takes up what is wrong with values of Kafka's own settings.
func (p *parse) foreign(from *source) {
	for _, problem := range from.problems {
		told := *problem
		if from.level == levelProvider && len(p.sources) > 1 && !p.route {
			told.Problem += " (from the provider's own config)"
		}
		p.errors = append(p.errors, &told)
	}
}

// isTelemetry tells whether a key is one of OpenTelemetry's variables (OTEL_…), which the provider's own config may set
// too. They are read elsewhere.
func isTelemetry(key string) bool { return strings.HasPrefix(key, "otel_") }

// clashes reports keys given twice that are no settings; those that are, are reported where they are used.
func (p *parse) clashes(own *source) {
	for _, key := range own.unknown {
		if g := own.values[key]; g.clash != nil {
			p.errors = append(p.errors, g.clash)
		}
	}
}

// apply gives a setting its value: the strongest that is given, or its default.
func (p *parse) apply(s *setting) {
	p.setDefault(s)
	for _, from := range p.sources {
		g, is := from.values[s.name]
		if !is || (from.level == levelProvider && (s.scope == scopeLink || s.scope == scopeRoute)) {
			continue
		}
		if problem := p.try(s, g); problem != nil {
			if from.level == levelProvider && len(p.sources) > 1 && !p.route {
				problem.Problem += " (from the provider's own config)"
			}
			p.errors = append(p.errors, problem)
			p.failed[s.name] = true
			return
		}
		p.used[s.name] = g
		return
	}
}

func (p *parse) setDefault(s *setting) {
	if s.def == "" {
		return
	}
	if err := s.value.set(&p.draft, s.def); err != nil {
		panic(fmt.Sprintf("declared default of %s: %v", s.name, err))
	}
}

// try sets a setting to a given value and says what is wrong with the value, if anything.
func (p *parse) try(s *setting, g given) *Error {
	if g.clash != nil {
		clash := *g.clash
		return &clash
	}
	err := s.value.set(&p.draft, g.text)
	if g.level == levelLink || len(p.sources) == 1 { // of the provider's own config once, and not for each link
		p.warnings = append(p.warnings, p.remarks...)
	}
	p.remarks = nil
	if err == nil {
		return nil
	}
	problem := err.Error()
	if bad, ok := errors.AsType[*badValue](err); ok {
		problem = bad.problem(!g.secret && !s.sensitive)
	}
	return &Error{Key: s.name, Problem: problem}
}

// given tells whether a setting has a value that is not its default.
func (p *parse) given(name string) bool {
	_, is := p.used[name]
	return is
}

// byLink tells whether the link itself has given a setting, rather than the provider's config.
func (p *parse) byLink(name string) bool { return p.used[name].level == levelLink }

// level tells where the value of a setting comes from.
func (p *parse) level(name string) level { return p.used[name].level }

// anyFailed tells whether a value of these settings was refused, in which case a rule about them would only repeat
// the complaint in other words.
func (p *parse) anyFailed(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return p.failed[name] })
}

// In texts of fail, warn and unused, {link} and {component} stand for what the one who reads calls them.
var (
	wordsOfLinks  = strings.NewReplacer("{link}", "link", "{component}", "component")
	wordsOfRoutes = strings.NewReplacer("{link}", "route", "{component}", "application")
)

func (p *parse) say(text string) string {
	if p.route {
		return wordsOfRoutes.Replace(text)
	}
	return wordsOfLinks.Replace(text)
}

func (p *parse) fail(key, format string, args ...any) {
	p.errors = append(p.errors, &Error{Key: key, Problem: fmt.Sprintf(p.say(format), args...)})
}

func (p *parse) warn(key, format string, args ...any) {
	p.warnings = append(p.warnings, Warning{Key: key, Text: fmt.Sprintf(p.say(format), args...)})
}

// unused warns about each of the settings that the link itself has given in vain. Defaults of the provider are
// meant for several links and may well not concern this one.
func (p *parse) unused(why string, names ...string) {
	for _, name := range names {
		if p.byLink(name) {
			p.warn(name, "is not used: %s", p.say(why))
		}
	}
}

// withdraw is unused for settings that get their defaults back.
func (p *parse) withdraw(why string, names ...string) {
	p.unused(why, names...)
	p.reset(names...)
}

// reset gives settings their defaults back, so that links that connect alike compare equal.
func (p *parse) reset(names ...string) {
	for _, name := range names {
		s := declared[name]
		s.value.clear(&p.draft)
		p.setDefault(s)
	}
}

// strongest returns the highest level on which one of the settings is given.
func (p *parse) strongest(names ...string) level {
	top := levelDefault
	for _, name := range names {
		if p.given(name) {
			top = max(top, p.level(name))
		}
	}
	return top
}

// sortErrors puts errors in the order of the documentation.
func sortErrors(errs Errors) {
	position := make(map[string]int)
	inOrder(func(s *setting) { position[s.name] = len(position) + 1 })
	slices.SortStableFunc(errs, func(a, b *Error) int { return cmp.Compare(position[a.Key], position[b.Key]) })
}
