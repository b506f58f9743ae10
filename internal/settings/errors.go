package settings

import (
	"fmt"
	"strings"

	basetext "github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Error says that one setting cannot be used, and why. Neither field holds the value of a secret.
type Error struct {
	// Key is the name of the setting as it stands in the documentation.
	Key string
	// Problem is a clause for a person, with what to write instead.
	Problem string
}

// Error implements error.
func (e *Error) Error() string { return e.Key + ": " + e.Problem }

// Errors are all problems of one parse in the order in which the settings are documented. It reads as one line;
// errors.As with an *[Error] finds the first one.
type Errors []*Error

// Error implements error.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As look into each problem.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}

// Warning is something that the person who wrote the settings should know although they can be used. It never holds
// the value of a secret.
type Warning struct {
	// Key is the setting as it was written, or its documented name where the warning is about a combination.
	Key string
	// Text is a clause for a person that goes on after the key.
	Text string
}

// String returns the warning as one line.
func (w Warning) String() string { return w.Key + ": " + w.Text }

// badValue is why a parser refused a value. The offending part is kept apart from the reason, because it may only be
// shown where it did not come from a secret.
type badValue struct {
	part string // what was written, "" where it must never be shown
	why  string // goes on after the quoted part: "is not …"; never holds anything of the value
	told string // goes on after why, and may hold something of the value
}

// refuse makes the error of a parser. Neither format nor args may hold anything of the value besides its shape.
func refuse(part, format string, args ...any) error {
	return &badValue{part: part, why: fmt.Sprintf(format, args...)}
}

// Error implements error in the form that is safe for secrets.
func (b *badValue) Error() string { return "the value " + b.why }

func (b *badValue) problem(show bool) string {
	text := b.Error()
	if show && b.part != "" {
		text = shorten(b.part) + " " + b.why
	}
	if show && b.told != "" {
		text += ": " + b.told
	}
	return text
}

// maxShown bounds what an error or a warning repeats of the text it is about, in bytes.
const maxShown = 256

// shorten quotes s, without line breaks, where it is not too long for a line of a log.
func shorten(s string) string { return fmt.Sprintf("%q", basetext.Whole(s, maxShown)) }
