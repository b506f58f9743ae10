package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// object is a JSON object.
type object map[string]any

// Schema is the JSON Schema of the file, for editors.
func Schema() ([]byte, error) {
	top, route, caller := object{}, object{}, object{}
	for _, d := range settings.Describe() {
		switch {
		case latticeOnly[d.Name]:
		case d.Place == settings.Above:
			add(top, d)
		case d.Place == settings.OnLinksOrAbove:
			add(top, d)
			add(route, d)
		default:
			add(route, d)
		}
	}
	for _, k := range topKeys {
		top[k.name] = k.schema()
	}
	for _, k := range callerKeys {
		caller[k.name] = k.schema()
	}
	names := object{"pattern": `^[a-zA-Z0-9._-]{1,100}$`}
	top[keyCallers] = object{
		"type": "object", "description": plain(find(topKeys, keyCallers).doc), "propertyNames": names,
		"additionalProperties": closed(caller),
	}
	top[keyRoutes] = object{
		"type": "object", "description": plain(find(topKeys, keyRoutes).doc), "propertyNames": names, "minProperties": 1,
		"additionalProperties": closed(route),
	}
	schema := closed(top)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "A bridge of messaging-kafka"
	schema["required"] = []string{keyRoutes}
	schema["patternProperties"] = object{"^[oO][tT][eE][lL]_": object{"type": scalars}}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(text, '\n'), nil
}

var scalars = []string{"string", "number", "boolean"}

// closed is an object that has these keys and no others.
func closed(properties object) object {
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// add adds a setting and, where its value is what stands in a file, the key that names that file.
func add(to object, d settings.Description) {
	s := object{"description": plain(fmt.Sprintf("%s Type: %s.", d.Doc, d.Kind))}
	if d.Default != "" {
		s["default"] = d.Default
	}
	if !d.Sensitive && len(d.Examples) > 0 {
		s["examples"] = d.Examples
	}
	value(s, d.Words, strings.HasPrefix(d.Kind, "list"))
	to[d.Name] = s
	if _, itself := to[d.Name+fileSuffix]; d.Content && !itself && !isSetting(d.Name+fileSuffix) {
		to[d.Name+fileSuffix] = object{"type": "string", "description": plain("Path of the file that has `" + d.Name + "`.")}
	}
}

func isSetting(name string) bool {
	for _, d := range settings.Describe() {
		if d.Name == name {
			return true
		}
	}
	return false
}

func (k key) schema() object {
	s := object{"description": plain(k.doc)}
	if k.example != "" && !k.secret {
		s["examples"] = []string{k.example}
	}
	value(s, k.words, k.list)
	return s
}

// value says what stands behind a key: a scalar, one of some words, a variable, or a list.
func value(s object, words []string, list bool) {
	switch {
	case len(words) > 0:
		choices := []object{{"enum": words}, {"type": "string", "pattern": `\$\{`}}
		if words[0] == "true" {
			choices = append(choices, object{"type": "boolean"})
		}
		if slices.ContainsFunc(words, isNumber) {
			choices = append(choices, object{"type": "number"})
		}
		s["anyOf"] = choices
	case list:
		s["anyOf"] = []object{{"type": scalars}, {"type": "array", "items": object{"type": scalars}}}
	default:
		s["type"] = scalars
	}
}

var link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)

func isNumber(word string) bool {
	_, err := strconv.ParseFloat(word, 64)
	return err == nil
}

// plain is Markdown as text: what stands behind links goes.
func plain(doc string) string {
	return link.ReplaceAllString(strings.ReplaceAll(doc, "`", ""), "$1")
}
