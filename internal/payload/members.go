package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// member is one member of a JSON object, its value byte for byte.
type member struct {
	name string
	raw  json.RawMessage
}

func (m member) isNull() bool { return string(m.raw) == "null" }

// parseMembers reads an object, in order. It is stricter than encoding/json's own reading into structs: names differ by
// case, none stands twice, and text is UTF-8.
func parseMembers(object []byte) ([]member, error) {
	var whole json.RawMessage
	switch err := json.Unmarshal(object, &whole); {
	case len(bytes.TrimSpace(object)) == 0:
		return nil, errors.New("is empty")
	case !utf8.Valid(object):
		return nil, errors.New("is not UTF-8")
	case err != nil:
		return nil, fmt.Errorf("is not JSON: %w", err)
	case bytes.TrimSpace(object)[0] != '{':
		return nil, errors.New("is not a JSON object")
	}
	// From here on nothing can be wrong but names: the whole is valid.
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	var list []member
	seen := make(map[string]bool)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		m := member{name: name.(string)}
		if seen[m.name] {
			return nil, fmt.Errorf("%s: is there twice", shown(m.name))
		}
		seen[m.name] = true
		if err := d.Decode(&m.raw); err != nil {
			return nil, fmt.Errorf("%s: is not JSON: %w", shown(m.name), err)
		}
		list = append(list, m)
	}
	return list, nil
}

// shown is a member's name as an error may repeat it. A long one is not shown at all: cut off, a secret in it would not
// be known for one any more.
func shown(name string) string {
	const most = 40
	switch {
	case isAttributeName(name) && len(name) <= most || name == memberBase64:
		return name
	case len(name) > most:
		return fmt.Sprintf("a name of %d bytes", len(name))
	default:
		return fmt.Sprintf("%q", name)
	}
}
