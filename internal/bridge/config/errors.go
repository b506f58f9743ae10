package config

import (
	"fmt"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Error says what is wrong with one place of a file.
type Error struct {
	// File is the path of the file, and Line where in it; 0 is the file as a whole.
	File string
	Line int
	// Key is the place by name, such as routes.orders.url; "" for the file as a whole.
	Key string
	// Problem is a clause for a person.
	Problem string
}

// Error implements error.
func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key == "" {
		return at + ": " + e.Problem
	}
	return at + ": " + e.Key + ": " + e.Problem
}

// Errors are all that is wrong with a file, in the order of its lines.
type Errors []*Error

// Error implements error.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}

// Warning is something to know about a file that can be used.
type Warning struct {
	Line int
	// Key is the place by name, and Text a clause that goes on after it.
	Key, Text string
}

// maxShownKey bounds what an error repeats of a key, in bytes.
const maxShownKey = 256

// shown is a key as an error repeats it.
func shown(key string) string {
	quoted := fmt.Sprintf("%q", text.Whole(key, maxShownKey))
	if quoted[1:len(quoted)-1] == key {
		return key
	}
	return quoted
}
