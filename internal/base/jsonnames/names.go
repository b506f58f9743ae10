package jsonnames

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Error names a member that cannot be taken.
type Error struct {
	// Path leads to the member: headers[1].name.
	Path string
	// Problem is a clause that goes on after it.
	Problem string
}

// Error implements error.
func (e *Error) Error() string { return e.Path + ": " + e.Problem }

// below is the same error as seen from a value above.
func (e *Error) below(step string) *Error {
	if !strings.HasPrefix(e.Path, "[") {
		step += "."
	}
	return &Error{Path: step + e.Path, Problem: e.Problem}
}

var errNotJSON = errors.New("is not JSON")

// Check looks at JSON that encoding/json has read into v: at the names of all objects that structs are made of. One
// that is there twice, or differs from a known one by case alone, is an [*Error]. Other names that are not known are
// left alone, and so is all that stands in them, in maps, in interfaces and in what reads itself, as json.RawMessage
// does: it means nothing here. Check takes time by the length of b, and memory for errors and names with escapes alone.
func Check(b []byte, v any) error {
	s := scanner{b: b}
	if bad, err := s.value(reflect.TypeOf(v)); bad != nil {
		return bad
	} else if err != nil {
		return err
	}
	return nil
}

var readsItself = reflect.TypeFor[json.Unmarshaler]()

// structure is the type of the structs or lists that a value is read into; nil where nothing is to be looked at.
func structure(t reflect.Type) reflect.Type {
	for t != nil {
		switch {
		case t.Implements(readsItself) || reflect.PointerTo(t).Implements(readsItself):
			return nil
		case t.Kind() == reflect.Struct || t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
			return t
		case t.Kind() != reflect.Pointer:
			return nil
		}
		t = t.Elem()
	}
	return nil
}

// field is a member of a struct.
type field struct {
	name string
	t    reflect.Type
}

// maxFields is how many fields a struct may have, by the bits that tell which were there.
const maxFields = 64

// known holds the fields of the structs that were met, by reflect.Type.
var known sync.Map

// fieldsOf panics at what none of our structs has.
func fieldsOf(t reflect.Type) []field {
	if list, ok := known.Load(t); ok {
		return list.([]field)
	}
	if t.NumField() > maxFields {
		panic(fmt.Sprintf("%v has more than %d fields", t, maxFields))
	}
	var list []field
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			panic(fmt.Sprintf("%v has a field without a name for JSON: %s", t, f.Name))
		}
		list = append(list, field{name, f.Type})
	}
	known.Store(t, list)
	return list
}

// scanner reads JSON from its beginning to its end.
type scanner struct {
	b  []byte
	at int
}

// next is the next byte that is no space, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.b); s.at++ {
		if c := s.b[s.at]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// takes passes the byte c, if it is next.
func (s *scanner) takes(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

// value passes a value that is read into a t.
func (s *scanner) value(t reflect.Type) (*Error, error) {
	first := s.next()
	switch t = structure(t); {
	case t != nil && t.Kind() == reflect.Struct && first == '{':
		return s.object(fieldsOf(t))
	case t != nil && t.Kind() != reflect.Struct && first == '[':
		return s.list(t.Elem())
	default:
		return nil, s.skip()
	}
}

func (s *scanner) list(t reflect.Type) (*Error, error) {
	s.at++
	if s.takes(']') {
		return nil, nil
	}
	for i := 0; ; i++ {
		switch bad, err := s.value(t); {
		case bad != nil:
			return bad.below("[" + strconv.Itoa(i) + "]"), nil
		case err != nil:
			return nil, err
		case s.takes(']'):
			return nil, nil
		case !s.takes(','):
			return nil, errNotJSON
		}
	}
}

func (s *scanner) object(fields []field) (*Error, error) {
	s.at++
	if s.takes('}') {
		return nil, nil
	}
	for seen := uint64(0); ; {
		name, err := s.name()
		if err != nil || !s.takes(':') {
			return nil, errNotJSON
		}
		var t reflect.Type
		step := ""
		for i, f := range fields {
			switch {
			case string(name) == f.name:
				if seen&(1<<i) != 0 {
					return &Error{f.name, "is there twice"}, nil
				}
				seen |= 1 << i
				step, t = f.name, f.t
			case bytes.EqualFold(name, []byte(f.name)):
				return &Error{string(name), "is not known: its name is " + f.name}, nil
			}
		}
		switch bad, err := s.value(t); {
		case bad != nil:
			return bad.below(step), nil
		case err != nil:
			return nil, err
		case s.takes('}'):
			return nil, nil
		case !s.takes(','):
			return nil, errNotJSON
		}
	}
}

// name passes a member's name and returns it as it reads.
func (s *scanner) name() ([]byte, error) {
	if s.next() != '"' {
		return nil, errNotJSON
	}
	begin := s.at
	if err := s.text(); err != nil {
		return nil, err
	}
	raw := s.b[begin:s.at]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var name string
	err := json.Unmarshal(raw, &name)
	return []byte(name), err
}

// text passes a string.
func (s *scanner) text() error {
	for s.at++; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return nil
		}
	}
	return errNotJSON
}

// skip passes a value, whatever it is.
func (s *scanner) skip() error {
	for depth := 0; ; {
		switch s.next() {
		case 0:
			return errNotJSON
		case '"':
			if err := s.text(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case ',', ':':
			s.at++
		default:
			s.word()
		}
		if depth <= 0 {
			return nil
		}
	}
}

// word passes a number, true, false or null.
func (s *scanner) word() {
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r', ',', ':', '}', ']', '{', '[', '"':
			return
		}
	}
}
