package settings

import (
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Place says where a setting may stand.
type Place uint8

// The places of settings.
const (
	// OnLinks settings belong to a link, or to a route of a bridge.
	OnLinks Place = iota
	// OnLinksOrAbove settings do as well, and what stands above all links may give a default.
	OnLinksOrAbove
	// OnRoutes settings belong to a route of a bridge alone.
	OnRoutes
	// Above settings are about the process as a whole.
	Above
)

// Description is what people and their editors see of a setting.
type Description struct {
	Name  string
	Place Place
	// Doc are full sentences in Markdown. Kind says in words what a value is, and Words are all that it can be where
	// these are few.
	Doc, Kind string
	Words     []string
	// Default is as a user would write it, "" where there is none or it depends on something.
	Default   string
	Examples  []string
	Sensitive bool
	// Content tells that a value is what stands in a file: a secret, a certificate or a key.
	Content bool
	// OtherNames are those by which people ask for it in vain.
	OtherNames []string
}

// Describe tells of all settings in the order of the documentation.
func Describe() []Description {
	var all []Description
	inOrder(func(s *setting) { all = append(all, s.describe()) })
	return all
}

func (s *setting) describe() Description {
	d := Description{
		Name: s.name, Doc: s.doc, Kind: s.value.kind, Words: slices.Clone(s.value.words), Sensitive: s.sensitive,
		Content:    s.sensitive || s.value.kind == kindPEM,
		OtherNames: slices.Clone(s.hints),
		Place: map[scope]Place{
			scopeBoth: OnLinksOrAbove, scopeLink: OnLinks, scopeProvider: Above, scopeRoute: OnRoutes,
		}[s.scope],
	}
	if s.defDoc == "" {
		d.Default = s.def
	}
	for example := range strings.SplitSeq(s.example, "\n") {
		if example != "" {
			d.Examples = append(d.Examples, example)
		}
	}
	if s.kafka != "" {
		d.OtherNames = append(d.OtherNames, canonical(s.kafka))
	}
	return d
}

// List splits a comma separated list as all settings have them: spaces around the parts, empty parts and repeated parts
// go.
func List(text string) []string { return list(text) }

// IsSetting tells whether a key is that of a setting, in any spelling that is taken for it.
func IsSetting(key string) bool { return declared[canonical(key)] != nil }

// IsName tells whether a text can name a route, a caller or a bridge: it becomes part of the names of groups.
func IsName(text string) bool {
	const longest = 100
	return len(text) <= longest && record.IsTopicName(text)
}

// The parsers of values that do not stand in settings alone. Their errors hold nothing of the value.

// Bool reads true or false.
func Bool(text string) (bool, error) { return parseBool(strings.TrimSpace(text)) }

// Size reads a number of bytes within bounds, both included.
func Size(text string, least, most int64) (int64, error) {
	n, err := parseSize(strings.TrimSpace(text))
	if err == nil && (n < least || n > most) {
		err = refuse("", "is out of bounds: write a size from %d to %d bytes", least, most)
	}
	return n, err
}

// Number reads a whole number within bounds, both included.
func Number(text string, least, most int64) (int64, error) {
	return parseNumber(strings.TrimSpace(text), least, most)
}

// TopicGlobs reads patterns of topics, in which * stands for any characters and ? for one.
func TopicGlobs(text string) ([]string, error) { return parseTopicGlobs(text) }

// ListenAddress reads an address to listen on; a port alone is the loopback's.
func ListenAddress(text string) (string, error) { return parseListenAddress(strings.TrimSpace(text)) }

// HostNames reads names of hosts without ports.
func HostNames(text string) ([]string, error) { return parseHostNames(text) }
