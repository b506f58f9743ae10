package payload

import (
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Attribute is a context attribute in its canonical string form.
type Attribute struct{ Name, Value string }

// event are the attributes of an event, its datacontenttype and the extensions of ours apart.
type event []Attribute

func (e event) has(name string) bool {
	for _, a := range e {
		if a.Name == name {
			return true
		}
	}
	return false
}

func isAttributeName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// isMapped tells whether the binding has an attribute as a header ce_<name>: datacontenttype is content-type there, and
// ours are no part of the event.
func isMapped(name string) bool {
	return isAttributeName(name) && name != memberData && name != attrDataType && !strings.HasPrefix(name, ownPrefix)
}

var required = []string{attrSpec, attrID, attrSource, attrType}

// checkAttribute tells whether the value is one that CloudEvents allows for the attribute.
func checkAttribute(a Attribute) error {
	if !isAttributeText(a.Value) {
		return errors.New("holds a control character or another that CloudEvents does not allow in attributes")
	}
	switch a.Name {
	case attrSpec:
		if a.Value != specVersion {
			return errors.New("is not 1.0")
		}
	case attrID, attrType, attrSubject:
		if a.Value == "" {
			return errors.New("is empty")
		}
	case attrSource, attrDataSchema:
		if _, err := url.Parse(a.Value); err != nil || a.Value == "" {
			return errors.New("is not a URI")
		}
	case attrTime:
		if _, err := time.Parse(time.RFC3339, a.Value); err != nil {
			return errors.New("is not a time as RFC 3339 writes it (2026-01-31T08:00:00Z)")
		}
	}
	return nil
}

// eventOf reads the event that a record is in the binding's binary mode. A record is one if its headers have all the
// required attributes, none twice, and every value is what CloudEvents allows; everything else is no event, whatever
// its headers are called.
func eventOf(r *record.Record) (event, bool) {
	var e event
	for _, h := range r.Headers {
		name, prefixed := strings.CutPrefix(h.Key, headerPrefix)
		if !prefixed || !isMapped(name) {
			continue
		}
		a := Attribute{name, string(h.Value)}
		if h.Value == nil || !utf8.Valid(h.Value) || e.has(name) || checkAttribute(a) != nil {
			return nil, false
		}
		e = append(e, a)
	}
	for _, name := range required {
		if !e.has(name) {
			return nil, false
		}
	}
	return e, true
}
