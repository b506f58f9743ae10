package kafka

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxWords bounds what is repeated of a broker's own words, in bytes. Policies explain themselves in a sentence or two.
const maxWords = 400

// wordsOf returns the words that a broker sent with the code in err, "" where it sent none of its own. The client has
// no field for them: it puts them behind the code, in an error of its own around it.
func wordsOf(err error, code *kerr.Error) string {
	switch around := err.(type) { //nolint:errorlint // what is around the code is looked at, layer by layer
	case interface{ Unwrap() []error }:
		for _, one := range around.Unwrap() {
			if words := wordsOf(one, code); words != "" {
				return words
			}
		}
	case interface{ Unwrap() error }:
		inner := around.Unwrap()
		if inner != error(code) { //nolint:errorlint // as above
			return wordsOf(inner, code)
		}
		words, found := strings.CutPrefix(err.Error(), code.Error()+": ")
		// Brokers that have nothing of their own to say send the description of the code.
		if found && !strings.EqualFold(strings.Trim(words, " ."), strings.Trim(code.Description, " .")) {
			return words
		}
	}
	return ""
}

// saying puts the words of a broker behind a text of ours, without secrets, and then cut to size.
func (s situation) saying(text, words string) string {
	if words = s.secrets.Line(words, maxWords); strings.TrimSpace(words) == "" {
		return text
	}
	return text + "; the broker says: " + words
}

// CreateError is why a topic could not be created.
type CreateError struct{ Err error }

// Error implements error.
func (e *CreateError) Error() string { return "creating it (create_topics): " + e.Err.Error() }

// Unwrap returns the cause.
func (e *CreateError) Unwrap() error { return e.Err }
