package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Config is a file of a bridge that can be used. It is not changed once it has been read.
type Config struct {
	// Name is that of the bridge; groups begin with it.
	Name string
	// Own and OwnSecrets are the settings of the process, and what routes have by default.
	Own        map[string]string
	OwnSecrets map[string]settings.Secret
	Listen     Listen
	// Callers are sorted by name; none means that whoever reaches Listen may publish by all routes.
	Callers []Caller
	// Routes are sorted by name.
	Routes []*Route
	// Hide is what nothing may tell.
	Hide []string
	// Warnings are in the order of lines.
	Warnings []Warning

	file, folder string // of the file
	lines        map[string]int
}

// Fault is an error about a place of the file by its key, such as listen or routes.orders.
func (c *Config) Fault(key string, err error) Errors {
	return Errors{{File: c.file, Line: c.Line(key), Key: key, Problem: err.Error()}}
}

// Line is where a key above the routes, a route or a caller stands in the file, 0 where it does not.
func (c *Config) Line(key string) int { return c.lines[key] }

// Route is one entry of routes.
type Route struct {
	Name string
	// Config and Secrets are what its settings were made of, without those above the routes.
	Config  map[string]string
	Secrets map[string]settings.Secret
	// Hide is what nothing may tell, as long as the route is there.
	Hide     []string
	Settings settings.Link
	// Publishes tells that callers may publish by it.
	Publishes bool

	line int
	// faulty tells that there is more to say of the route than that it does nothing.
	faulty bool
}

// Reads tells whether the route hands records over.
func (r *Route) Reads() bool { return r.Settings.HTTP.Deliver != "" }

// TakesNATS tells whether messages of NATS are published by the route.
func (r *Route) TakesNATS() bool { return len(r.Settings.NATS.PublishSubjects) > 0 }

// Input is what the settings of a route are parsed from.
func (c *Config) Input(r *Route, host string) settings.Input {
	return settings.Input{
		Defaults: c.Own, DefaultSecrets: c.OwnSecrets, Config: r.Config, Secrets: r.Secrets, Route: true,
		Identity: settings.Identity{Component: c.Name, LinkName: r.Name, HostID: host},
	}
}

// Options say where a file is and what it may refer to.
type Options struct {
	Path string
	// Lookup finds variables of the environment, as os.LookupEnv does.
	Lookup func(name string) (string, bool)
	// Seen, if not nil, remembers what was read.
	Seen *Seen
	// Host names the machine, for routes with group_instance_id=auto.
	Host string
}

// maxFile bounds the file.
const maxFile = 4 << 20

// defaultName is the name of a bridge that has none.
const defaultName = "bridge"

// Read reads a file. Its error is [Errors].
func Read(o Options) (*Config, error) {
	o.Seen.begin()
	content, err := o.Seen.read(o.Path, maxFile)
	if err != nil {
		return nil, Errors{{File: o.Path, Problem: "cannot be read: " + err.Error()}}
	}
	return Parse(content, o)
}

// reader is one reading of a file.
type reader struct {
	Options
	config *Config
	errors Errors
	routes []entry
	lines  map[string]int // of the keys above them
	// refused are the keys above them whose values cannot be used by any route.
	refused map[string]bool
	// settings are all that are declared, by name.
	settings map[string]settings.Description
}

// Parse reads the content of a file. Its error is [Errors].
func Parse(content []byte, o Options) (*Config, error) {
	entries, err := parseYAML(o.Path, content)
	if err != nil {
		return nil, err
	}
	r := &reader{
		Options: o, settings: make(map[string]settings.Description), lines: make(map[string]int), refused: make(map[string]bool),
		config: &Config{Name: defaultName, file: o.Path, folder: filepath.Dir(o.Path), Own: make(map[string]string), OwnSecrets: make(map[string]settings.Secret)},
	}
	for _, d := range settings.Describe() {
		r.settings[d.Name] = d
	}
	r.top(entries)
	r.ownSettings()
	r.readRoutes()
	r.finish()
	if len(r.errors) > 0 {
		slices.SortStableFunc(r.errors, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
		return nil, r.errors
	}
	r.reveal(r.config.Own, r.config.OwnSecrets)
	for _, route := range r.config.Routes {
		r.reveal(route.Config, route.Secrets)
	}
	r.config.lines = r.lines
	for _, route := range r.config.Routes {
		r.lines[keyRoutes+"."+route.Name] = route.line
	}
	for _, caller := range r.config.Callers {
		r.lines[keyCallers+"."+caller.Name] = caller.line
	}
	slices.SortStableFunc(r.config.Warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
	return r.config, nil
}

// reveal takes values for what they are that came from variables and are no secrets: as secrets they were kept out of
// errors about the file.
func (r *reader) reveal(config map[string]string, secrets map[string]settings.Secret) {
	for name, secret := range secrets {
		if d, is := r.settings[name]; is && !d.Sensitive {
			config[name] = secret.Reveal()
			delete(secrets, name)
		}
	}
}

// says is the value of a setting that stands above the routes, wherever it came from.
func (c *Config) says(name string) (value string, given bool) {
	if value, given = c.Own[name]; given {
		return value, true
	}
	secret, given := c.OwnSecrets[name]
	return secret.Reveal(), given
}

func (r *reader) fail(line int, key, format string, args ...any) {
	r.errors = append(r.errors, &Error{File: r.Path, Line: line, Key: key, Problem: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(line int, key, format string, args ...any) {
	r.config.Warnings = append(r.config.Warnings, Warning{line, key, fmt.Sprintf(format, args...)})
}

var errName = errors.New("is not a name: 1 to 100 of the characters a-z A-Z 0-9 . _ -")

// top reads what stands above the routes.
func (r *reader) top(entries []entry) {
	own := sources{config: r.config.Own, secrets: r.config.OwnSecrets}
	for _, e := range entries {
		if _, twice := r.lines[e.key]; !twice {
			r.lines[e.key] = e.line
		}
		k := find(topKeys, e.key)
		switch {
		case e.key == keyCallers:
			r.readCallers(e)
		case e.key == keyRoutes:
			if r.isMapping(e.key, e) {
				r.routes = e.inner
			}
		case k != nil:
			r.set(e.key, e, k, nil)
		case isTelemetry(e.key):
			r.setting("", e, settings.Description{Name: e.key}, &own)
		default:
			r.put("", e, &own, func(d settings.Description) bool {
				return d.Place == settings.OnLinksOrAbove || d.Place == settings.Above && !latticeOnly[d.Name]
			}, names(topKeys))
		}
	}
	r.config.Hide = append(r.config.Hide, own.hide...)
	if len(r.routes) == 0 && len(r.errors) == 0 {
		r.fail(0, keyRoutes, "is missing: a bridge needs one at least")
	}
}

// set takes the value of a key that is no setting.
func (r *reader) set(at string, e entry, k *key, caller *Caller) {
	t, ok := r.text(at, e)
	if !ok {
		return
	}
	r.config.Hide = append(r.config.Hide, t.secrets...)
	if err := k.set(r.config, caller, t.value); err != nil {
		r.fail(e.line, at, "%v", err)
	}
}

// latticeOnly are the settings of the process that say nothing where there is no lattice.
var latticeOnly = map[string]bool{"provider_inbox_prefixes": true, "provider_control_lattice": true}

// isTelemetry tells whether a key is one of OpenTelemetry's variables.
func isTelemetry(key string) bool { return strings.HasPrefix(strings.ToUpper(key), "OTEL_") }

func (r *reader) isMapping(key string, e entry) bool {
	switch {
	case e.problem != "":
		r.fail(e.line, key, "%s", e.problem)
	case !e.mapping:
		r.fail(e.line, key, "is no mapping of names")
	default:
		return true
	}
	return false
}

// sources are what settings are made of.
type sources struct {
	config  map[string]string
	secrets map[string]settings.Secret
	hide    []string
}

// fileSuffix ends the keys that name the file of a secret.
const fileSuffix = "_file"

// put takes an entry that must be a setting which fits where it stands, or the file of one that is sensitive. others
// are the keys that are known there as well.
func (r *reader) put(above string, e entry, to *sources, fits func(settings.Description) bool, others []string) {
	key := above + shown(e.key)
	if e.unkeyed {
		r.fail(e.line, key, "%s", e.problem)
		return
	}
	d, known := r.settings[e.key]
	if known && fits(d) {
		r.setting(above, e, d, to)
		return
	}
	if name, file := strings.CutSuffix(e.key, fileSuffix); file && !known {
		if d, known := r.settings[name]; known && fits(d) && d.Content {
			r.secretFile(key, e, name, to)
			return
		}
	}
	switch {
	case known && latticeOnly[d.Name]:
		r.fail(e.line, key, "is about wasmCloud's lattice, which a bridge has none of: leave it out")
	case known && above == "":
		r.fail(e.line, key, "belongs on a route: write it below %s.NAME", keyRoutes)
	case known:
		r.fail(e.line, key, "is about the process as a whole: write it above the routes")
	default:
		r.unknown(e.line, key, nearest(e.key, fits, others))
	}
}

// unknown refuses a key that is not known; near is the one that was probably meant, if any.
func (r *reader) unknown(line int, key, near string) {
	if near == "" {
		r.fail(line, key, "is not known here")
		return
	}
	r.fail(line, key, "is not known here; the nearest known key is %s", near)
}

// maxCompared bounds what of a key is compared with others, in characters.
const maxCompared = 80

// nearest is the key that is most like one that is not known, "" where none is like it.
func nearest(key string, fits func(settings.Description) bool, others []string) string {
	best, distance := "", 0
	try := func(name, spelling string) {
		if d := levenshtein.ComputeDistance(key, spelling); best == "" || d < distance {
			best, distance = name, d
		}
	}
	if runes := []rune(key); len(runes) > maxCompared {
		key = string(runes[:maxCompared]) // the distance takes time by the product of the lengths
	}
	for _, name := range others {
		try(name, name)
	}
	for _, d := range settings.Describe() {
		if !fits(d) {
			continue
		}
		for _, spelling := range append(d.OtherNames, d.Name) {
			try(d.Name, spelling)
		}
		if d.Content {
			try(d.Name+fileSuffix, d.Name+fileSuffix)
		}
	}
	if !settings.IsNear(distance, key, best) {
		return ""
	}
	return best
}

// setting takes the value of a setting.
func (r *reader) setting(above string, e entry, d settings.Description, to *sources) {
	key := above + e.key
	t, ok := r.text(key, e)
	if !ok {
		return
	}
	if _, both := to.secrets[d.Name]; both {
		r.fail(e.line, key, "is given as well as %s%s; leave one", d.Name, fileSuffix)
		return
	}
	switch {
	case d.Sensitive:
		if !t.hidden {
			r.warn(e.line, key, "stands in the file itself, for everyone who can read that; write ${VARIABLE}, or %s%s with the path of a file",
				d.Name, fileSuffix)
		}
		fallthrough
	case t.hidden: // errors about it must not repeat it
		to.secrets[d.Name] = settings.NewSecret(t.value)
	default:
		to.config[d.Name] = t.value
	}
	if d.Sensitive {
		to.hide = append(to.hide, settings.SecretValues(nil, map[string]settings.Secret{d.Name: to.secrets[d.Name]})...)
	} else {
		to.hide = append(to.hide, settings.SecretValues(map[string]string{d.Name: t.value}, nil)...)
	}
	to.hide = append(to.hide, t.secrets...)
}

// secretFile takes a secret from the file that a key names.
func (r *reader) secretFile(key string, e entry, name string, to *sources) {
	if _, both := to.secrets[name]; both {
		r.fail(e.line, key, "is given as well as %s; leave one", name)
		return
	}
	secret, ok := r.fromFile(key, e)
	if !ok {
		return
	}
	to.secrets[name] = secret
	to.hide = append(to.hide, settings.SecretValues(nil, map[string]settings.Secret{name: secret})...)
}

// fromFile reads the secret in the file that an entry names.
func (r *reader) fromFile(key string, e entry) (settings.Secret, bool) {
	t, ok := r.text(key, e)
	if !ok {
		return settings.Secret{}, false
	}
	path, err := r.config.path(t.value)
	var content string
	if err == nil {
		content, err = readSecret(r.Seen, path)
	}
	if err != nil {
		r.fail(e.line, key, "cannot be read: %v", err)
		return settings.Secret{}, false
	}
	return settings.NewSecret(content), true
}

// text is the value of an entry that is no mapping, with variables in their places.
func (r *reader) text(key string, e entry) (given, bool) {
	switch {
	case e.problem != "":
		r.fail(e.line, key, "%s", e.problem)
		return given{}, false
	case e.mapping:
		r.fail(e.line, key, "is a mapping, where a value is wanted")
		return given{}, false
	case slices.ContainsFunc(e.parts, func(part string) bool { return strings.Contains(part, ",") }):
		r.fail(e.line, key, "is a list with a comma in one of its parts")
		return given{}, false
	}
	t, err := expand(e.value, r.Lookup)
	switch {
	case err != nil:
		r.fail(e.line, key, "%v", err)
	case strings.TrimSpace(t.value) == "":
		r.fail(e.line, key, "is empty: give it a value, or leave it out")
	default:
		return t, true
	}
	return given{}, false
}

// readRoutes reads the routes, which need what stands above them.
func (r *reader) readRoutes() {
	above, shared := len(r.errors) > 0, make(map[settings.Error][]string)
	for _, e := range r.routes {
		key := keyRoutes + "." + shown(e.key)
		if !settings.IsName(e.key) {
			r.fail(e.line, key, "%v", errName)
			continue
		}
		if !r.isMapping(key, e) {
			continue
		}
		found := sources{config: make(map[string]string), secrets: make(map[string]settings.Secret)}
		before, lines := len(r.errors), make(map[string]int)
		for _, inner := range e.inner {
			lines[strings.TrimSuffix(inner.key, fileSuffix)] = inner.line
			lines[inner.key] = inner.line
			r.put(key+".", inner, &found, func(d settings.Description) bool { return d.Place != settings.Above }, nil)
		}
		route := &Route{Name: e.key, faulty: len(r.errors) > before, Config: found.config, Secrets: found.secrets, Hide: found.hide, line: e.line}
		parsed, warnings, err := settings.ParseLink(r.config.Input(route, r.Host))
		for _, w := range warnings {
			at, name := r.above(w.Key)
			if lines[w.Key] > 0 || at == 0 {
				at, name = cmp.Or(lines[w.Key], e.line), key+"."+w.Key
			}
			if !slices.Contains(r.config.Warnings, Warning{at, name, w.Text}) {
				r.warn(at, name, "%s", w.Text)
			}
		}
		if err != nil {
			r.refuse(e, lines, err, above || len(r.errors) > before, shared)
			continue
		}
		route.Settings = parsed
		r.config.Routes = append(r.config.Routes, route)
	}
	for problem, names := range shared {
		at, key := r.above(problem.Key)
		of := "the route "
		if len(names) > 1 {
			of = "the routes "
		}
		r.fail(at, key, "%s (for %s%s)", problem.Problem, of, strings.Join(slices.Sorted(slices.Values(names)), ", "))
	}
	slices.SortFunc(r.config.Routes, func(a, b *Route) int { return cmp.Compare(a.Name, b.Name) })
}

// RouteOf takes the place of a warning apart that is about a setting of a route.
func RouteOf(place string) (route, setting string, found bool) {
	place, found = strings.CutPrefix(place, keyRoutes+".")
	end := strings.LastIndexByte(place, '.') // which names of routes may have, and settings do not
	if !found || end < 0 {
		return "", "", false
	}
	return place[:end], place[end+1:], true
}

// above tells where a setting stands above the routes, and as which key; the line is 0 where it does not.
func (r *reader) above(setting string) (line int, key string) {
	if line := r.lines[setting]; line > 0 {
		return line, setting
	}
	return r.lines[setting+fileSuffix], setting + fileSuffix
}

// refuse tells what is wrong with the settings of a route. Of what is missing nothing is told where there were keys
// that could not be taken: one of them may have been meant. What stands above the routes goes to shared, with the names
// of the routes that cannot use it, unless it is told already that nobody can.
func (r *reader) refuse(route entry, lines map[string]int, err error, others bool, shared map[settings.Error][]string) {
	key := keyRoutes + "." + shown(route.key)
	var all settings.Errors
	if !errors.As(err, &all) {
		r.fail(route.line, key, "%v", err)
		return
	}
	for _, one := range all {
		at, written := lines[one.Key]
		above, _ := r.above(one.Key)
		switch {
		case written:
			r.fail(at, key+"."+one.Key, "%s", one.Problem)
		case r.refused[one.Key]:
		case above > 0:
			shared[*one] = append(shared[*one], route.key)
		case !others:
			r.fail(route.line, key+"."+one.Key, "%s", one.Problem)
		}
	}
}

// finish looks at the file as a whole.
func (r *reader) finish() {
	c := r.config
	unserved := slices.ContainsFunc(r.errors, func(e *Error) bool { // it may be the route that callers were to publish by
		return e.Key == keyListen || e.Key == keyCallers || strings.HasPrefix(e.Key, keyCallers+".")
	})
	r.listens()
	for i, route := range c.Routes {
		if !route.Reads() && !route.Publishes && !route.TakesNATS() && !route.faulty && !unserved {
			r.fail(route.line, keyRoutes+"."+route.Name,
				"does nothing: it neither hands records over (topic, deliver and url), nor may anybody publish by it (listen and callers)")
		}
		for _, other := range c.Routes[:i] {
			if text, certain := route.Settings.Clash(&other.Settings, true); certain {
				r.fail(route.line, keyRoutes+"."+route.Name, "route %s %s", other.Name, text)
			}
		}
	}
}

// ownSettings checks what stands above the routes, as far as no route is needed for that.
func (r *reader) ownSettings() {
	_, warnings, err := settings.ParseAbove(r.config.Own, r.config.OwnSecrets)
	for _, w := range warnings {
		line, key := r.above(w.Key)
		r.warn(line, key, "%s", w.Text)
	}
	if all, ok := errors.AsType[settings.Errors](err); ok {
		for _, one := range all {
			line, key := r.above(one.Key)
			r.fail(line, key, "%s", one.Problem)
			r.refused[one.Key] = true
		}
	}
}

// TelemetryOf are the variables of OpenTelemetry that one of two files has, sorted.
func TelemetryOf(a, b *Config) []string {
	names := make(map[string]bool)
	for _, c := range []*Config{a, b} {
		for name := range c.Own {
			names[name] = isTelemetry(name)
		}
		for name := range c.OwnSecrets {
			names[name] = isTelemetry(name)
		}
	}
	maps.DeleteFunc(names, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(names))
}
