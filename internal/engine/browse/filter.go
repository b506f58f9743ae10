package browse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Filter tells which records are meant: those that pass all its conditions.
type Filter []func(*record.Record) bool

// condition is NAME=TEXT or NAME~REGEX.
var condition = regexp.MustCompile(`^(key|value|header\.[^=~]+|value\.[^=~]+)(=|~)((?s:.*))$`)

// filterForms says how conditions are written.
const filterForms = "key=TEXT, value=TEXT, header.NAME=TEXT, value.FIELD.FIELD=TEXT (of JSON), each with ~REGEX in place of =TEXT too; " +
	"anything else is a regular expression for key or value"

// ParseFilter reads conditions.
func ParseFilter(texts []string) (Filter, error) {
	var f Filter
	for _, text := range texts {
		c, err := parseCondition(text)
		if err != nil {
			return nil, fmt.Errorf("--filter %s: %w", text, err)
		}
		f = append(f, c)
	}
	return f, nil
}

func parseCondition(text string) (func(*record.Record) bool, error) {
	parts := condition.FindStringSubmatch(text)
	if parts == nil {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		return func(r *record.Record) bool {
			return r.Key != nil && re.Match(r.Key) || r.Value != nil && re.Match(r.Value)
		}, nil
	}
	name, want := parts[1], []byte(parts[3])
	matches := func(b []byte) bool { return b != nil && bytes.Equal(b, want) }
	if parts[2] == "~" {
		re, err := regexp.Compile(parts[3])
		if err != nil {
			return nil, err
		}
		matches = func(b []byte) bool { return b != nil && re.Match(b) }
	}
	header, isHeader := strings.CutPrefix(name, "header.")
	field, isField := strings.CutPrefix(name, "value.")
	switch {
	case name == "key":
		return func(r *record.Record) bool { return matches(r.Key) }, nil
	case name == "value":
		return func(r *record.Record) bool { return matches(r.Value) }, nil
	case isHeader:
		return func(r *record.Record) bool {
			return slices.ContainsFunc(r.Headers, func(h record.Header) bool {
				n, number := Number(h)
				return h.Key == header && (matches(h.Value) || number && matches(strconv.AppendInt(nil, n, 10)))
			})
		}, nil
	case isField:
		path := strings.Split(field, ".")
		return func(r *record.Record) bool { return matches(fieldOf(r.Value, path)) }, nil
	}
	return nil, fmt.Errorf("it is one of %s", filterForms)
}

// fieldOf is what a field of JSON holds: the text of a string, and the JSON of anything else; nil where there is none.
// A number is an index where there is a list.
func fieldOf(value []byte, path []string) []byte {
	at := json.RawMessage(value)
	for _, name := range path {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(at, &object) == nil:
			at = object[name]
		case json.Unmarshal(at, &list) == nil:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(list) {
				return nil
			}
			at = list[i]
		default:
			return nil
		}
		if at == nil {
			return nil
		}
	}
	var text string
	if json.Unmarshal(at, &text) == nil && string(at) != null {
		return []byte(text)
	}
	return at
}

// Matches tells whether a record is meant.
func (f Filter) Matches(r *record.Record) bool {
	return !slices.ContainsFunc(f, func(passes func(*record.Record) bool) bool { return !passes(r) })
}
