package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
)

// Input is everything that a link's settings come from. Link settings beat the provider's defaults; within each, a
// secret beats a config value of the same name.
type Input struct {
	// Defaults and DefaultSecrets are the provider's own start config and secrets.
	Defaults       map[string]string
	DefaultSecrets map[string]Secret
	// Config and Secrets are our side of the link.
	Config   map[string]string
	Secrets  map[string]Secret
	Identity Identity
	// Batches tells that the link's component takes batches, for which other defaults are good.
	Batches bool
	// Records tells that the link is of messaging-kafka:records, which has no use for settings about messages.
	Records bool
	// Route tells that these are the settings of a bridge's route, which says by itself whether it has batches or records.
	// Its Identity has the name of the bridge as Component, and its own as LinkName.
	Route bool
}

// Identity says whose settings are parsed. The defaults of consumer_group and group_instance_id are made of it;
// parts that are not known may be empty.
type Identity struct {
	Lattice, Component, LinkName string
	HostID, ProviderKey          string
	// End is what tells links of one name apart: the WIT package, and which end of the link the provider is.
	End string
}

// level says where a value stands; a higher one beats a lower one.
type level uint8

const (
	levelDefault level = iota
	levelProvider
	levelLink
)

// given is one value as it was written.
type given struct {
	spelling string // the key as written
	text     string
	secret   bool
	level    level
	// clash is not nil where the key was given twice and there is no telling which was meant.
	clash *Error
}

// source collects what was given on one level, by canonical key.
type source struct {
	level    level
	values   map[string]given
	warnings []Warning
	// problems are with values of Kafka's own settings, from which there are none of ours then.
	problems Errors
	unknown  []string // canonical keys that are no settings, sorted, with spellings in values
}

func newSource(lvl level, config map[string]string, secrets map[string]Secret) *source {
	s := &source{level: lvl, values: make(map[string]given)}
	plain := make(map[string]given)
	hidden := make(map[string]given)
	for _, key := range slices.Sorted(maps.Keys(config)) {
		s.put(plain, key, given{text: config[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		s.put(hidden, key, given{text: secrets[key].Reveal(), secret: true})
	}
	for _, key := range slices.Sorted(maps.Keys(plain)) {
		s.values[key] = plain[key]
	}
	for _, key := range slices.Sorted(maps.Keys(hidden)) {
		if other, both := s.values[key]; both && declared[key] != nil {
			s.warn(other.spelling, "is given in the config and as a secret; the secret is used")
		}
		s.values[key] = hidden[key]
	}
	s.properties()
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if declared[key] == nil {
			s.unknown = append(s.unknown, key)
		}
	}
	return s
}

// put adds a value whose key stands in one map, as what it is here where it is one of Kafka's own settings.
func (s *source) put(values map[string]given, key string, g given) {
	name := canonical(key)
	g.spelling, g.level = key, s.level
	if declared[name] == nil {
		if ours, is := s.translated(name, g); is {
			for _, one := range ours {
				g.text = one.value
				s.putAs(values, one.name, key, g)
			}
			return
		}
	}
	s.putAs(values, name, key, g)
}

// putAs adds a value by its canonical name. Empty values are dropped with a warning.
func (s *source) putAs(values map[string]given, name, key string, g given) {
	decl := declared[name]
	if decl != nil && decl.sensitive {
		// A space may be part of a password. A line break at its end never is: it comes from the file that the
		// secret was made of.
		if cut := strings.TrimRight(g.text, "\r\n"); cut != g.text && cut != "" && !pemtext.IsPEM(cut) {
			g.text = cut
			s.warn(key, "ended with a line break, which is not used")
		}
	} else {
		g.text = strings.TrimSpace(g.text)
	}
	if strings.Trim(g.text, "\r\n") == "" && decl != nil {
		s.warn(key, "is empty and is not used")
		return
	}
	if decl != nil && decl.sensitive && !g.secret {
		s.warn(key, "is sensitive and stands in plain config, where everyone in the lattice can read it; give it as a secret")
	}
	if other, twice := values[name]; twice {
		shown := name
		if decl == nil {
			shown = shorten(key)
		}
		g.clash = &Error{Key: shown,
			Problem: fmt.Sprintf("is given twice, as %s and as %s; leave one", shorten(other.spelling), shorten(key))}
	}
	values[name] = g
}

func (s *source) warn(key, format string, args ...any) {
	s.warnings = append(s.warnings, Warning{Key: shownKey(key), Text: fmt.Sprintf(format, args...)})
}

// shownKey keeps foreign text in a key from making a mess of a log.
func shownKey(key string) string {
	if known := declared[canonical(key)]; known != nil {
		return strings.TrimSpace(key)
	}
	quoted := shorten(key)
	return quoted[1 : len(quoted)-1]
}

// warnUnknown adds a warning for each key that is no setting, with the nearest one that fits.
func (s *source) warnUnknown(fits func(*setting) bool) {
	for _, key := range s.unknown {
		g := s.values[key]
		if best, found := byOtherName(key); found {
			s.warn(g.spelling, "is not a setting here and is not used; the setting for that is %s", best)
			continue
		}
		if best, near := nearest(key, fits); near {
			s.warn(g.spelling, "is not a setting and is not used; the nearest known one is %s", best)
			continue
		}
		s.warn(g.spelling, "is not a setting and is not used")
	}
}

// byOtherName finds the setting that is known elsewhere by the canonical key.
func byOtherName(key string) (string, bool) {
	name := ""
	inOrder(func(s *setting) {
		if name == "" && (isAny(key, s.hints...) || (s.kafka != "" && canonical(s.kafka) == key)) {
			name = s.name
		}
	})
	return name, name != ""
}
