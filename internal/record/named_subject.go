package record

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// NamedSubject is a subject that names the key and headers of the record to publish, for components whose messages
// have no other place for them:
//
//	orders?key=customer-7&header.type=created&header.note
//
// The parameters are written as the query of a URL, so that %00 to %ff can stand for any byte and + for a space. A
// header may repeat and keeps its place; one without an equals sign has the value null. Parameters of a
// [ReplyAddress] may stand among them.
type NamedSubject struct {
	// Subject is what [ParseSubject] reads: the topic, with the parameters of a reply address where there are any.
	Subject string
	// Key is nil where the subject names none; key= names the empty key.
	Key     []byte
	Headers []Header
}

const (
	keyParameter     = "key"
	headerParameters = "header."
)

// NamesKey tells whether the subject names a key or a header, well or badly written.
func NamesKey(subject string) bool {
	_, query, _ := strings.Cut(subject, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(pair, "="); isNaming(name) {
			return true
		}
	}
	return false
}

func isNaming(name string) bool {
	return name == keyParameter || strings.HasPrefix(name, headerParameters)
}

// ParseNamedSubject takes key and headers out of a subject. It leaves it to [ParseSubject] whether the rest is well.
// Its errors name the parameter that is wrong, never its value, and are meant for component authors.
func ParseNamedSubject(subject string) (NamedSubject, error) {
	topic, query, hasQuery := strings.Cut(subject, "?")
	if !hasQuery {
		return NamedSubject{Subject: subject}, nil
	}
	var named NamedSubject
	var rest []string
	for pair := range strings.SplitSeq(query, "&") {
		name, text, hasValue := strings.Cut(pair, "=")
		if !isNaming(name) {
			rest = append(rest, pair)
			continue
		}
		value, err := unescape(name, text, hasValue)
		if err != nil {
			return NamedSubject{}, err
		}
		if name == keyParameter {
			switch {
			case !hasValue:
				return NamedSubject{}, errors.New("the subject has key without a value: write key= for the empty key, or leave it out")
			case named.Key != nil:
				return NamedSubject{}, errors.New("the subject gives key twice")
			}
			named.Key = value
			continue
		}
		header, err := url.QueryUnescape(strings.TrimPrefix(name, headerParameters))
		switch {
		case err != nil || !utf8.ValidString(header):
			return NamedSubject{}, fmt.Errorf("the subject has the header %q, whose name is not URL-encoded UTF-8", name)
		case header == "":
			return NamedSubject{}, errors.New("the subject has a header without a name: write header.<name>=<value>")
		}
		named.Headers = append(named.Headers, Header{Key: header, Value: value})
	}
	named.Subject = topic
	if len(rest) > 0 {
		named.Subject += "?" + strings.Join(rest, "&")
	}
	return named, nil
}

// unescape returns nil where there is no value, and never otherwise.
func unescape(name, text string, hasValue bool) ([]byte, error) {
	if !hasValue {
		return nil, nil
	}
	value, err := url.QueryUnescape(text)
	if err != nil {
		return nil, fmt.Errorf("the subject has a %s that is not URL-encoded: a percent sign stands before two hexadecimal digits, and for itself as %%25", name)
	}
	return append([]byte{}, value...), nil
}
