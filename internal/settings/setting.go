package settings

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// scope says where a setting may stand.
type scope uint8

const (
	// scopeBoth settings belong to a link, and the provider's own config may give a default for all links.
	scopeBoth scope = iota
	// scopeLink settings would make no sense as a default for several links.
	scopeLink
	// scopeProvider settings are about the provider as a whole.
	scopeProvider
	// scopeRoute settings belong to a route of a bridge.
	scopeRoute
)

// setting declares one setting. Parser, checks, suggestions and documentation have no other source.
type setting struct {
	name string
	// kafka is the name of the same thing in Kafka's own clients, "" if there is none.
	kafka string
	// hints are names that people try in vain; a warning about them names this setting.
	hints []string
	scope scope
	// def is the default as a user would write it, "" for none.
	def string
	// defDoc stands in the documentation instead of def, where the default depends on something.
	defDoc string
	// example is a value that the parser takes; several stand on lines of their own.
	example string
	// doc are full sentences in Markdown.
	doc       string
	sensitive bool
	value     value
}

// section is a part of the documentation.
type section struct {
	title, intro string
	settings     []setting
}

// sections hold all settings in the order of the documentation.
var sections = []section{
	connectionSection(),
	securitySection(),
	consumeSection(),
	deliverySection(),
	messageSection(),
	schemaSection(),
	publishSection(),
	requestSection(),
	topicSection(),
	routeSection(),
	natsSection(),
	providerSection(),
}

// declared are all settings, by name.
var declared = func() map[string]*setting {
	byName := make(map[string]*setting)
	for i := range sections {
		for j := range sections[i].settings {
			s := &sections[i].settings[j]
			if _, twice := byName[s.name]; twice {
				panic("setting declared twice: " + s.name)
			}
			byName[s.name] = s
		}
	}
	return byName
}()

// inOrder calls f for each setting in the order of the documentation.
func inOrder(f func(*setting)) {
	for i := range sections {
		for j := range sections[i].settings {
			f(&sections[i].settings[j])
		}
	}
}

// canonical is the form in which keys are compared. Kafka's users write dots where ours write underscores.
func canonical(key string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(strings.TrimSpace(key)))
}

// maxCompared bounds what of a key is compared with others, in characters.
const maxCompared = 80

// nearest returns the setting whose name, or whose name elsewhere, is most like the canonical key, where it is so like
// it that it was probably meant.
func nearest(key string, fits func(*setting) bool) (string, bool) {
	// The distance takes time by the product of the lengths, and the key comes from outside.
	if utf8.RuneCountInString(key) > maxCompared {
		key = string([]rune(key)[:maxCompared])
	}
	best, distance := "", 0
	inOrder(func(s *setting) {
		if !fits(s) {
			return
		}
		names := append([]string{s.name}, s.hints...)
		if s.kafka != "" {
			names = append(names, canonical(s.kafka))
		}
		for _, name := range names {
			if d := levenshtein.ComputeDistance(key, name); best == "" || d < distance {
				best, distance = s.name, d
			}
		}
	})
	return best, IsNear(distance, key, best)
}

// IsNear tells whether a text with a distance from a known name is a slip of it: a third of the characters are others
// at most, or the end is missing.
func IsNear(distance int, text, name string) bool {
	const least = 3 // characters that say something
	length := utf8.RuneCountInString(text)
	return distance < length && 3*distance <= max(least, length) || length >= least && strings.HasPrefix(name, text)
}

// isAny tells whether name is one of names.
func isAny(name string, names ...string) bool { return slices.Contains(names, name) }
