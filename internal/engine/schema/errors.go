package schema

import "fmt"

// AwayError says that the registry could not be asked. It says nothing of the value: the same may work a second later.
type AwayError struct {
	Err error
	// answered says who has: it decides whether other schemas can be asked for meanwhile.
	answered who
}

// who has answered without an answer.
type who uint8

const (
	// nobody that is known to be a schema registry
	nobody who = iota
	// somebody who may be one, if it has given schemas before
	somebody
	// aRegistry, which says that it has a fault
	aRegistry
)

// Error implements error.
func (e *AwayError) Error() string { return "the schema registry cannot be asked: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *AwayError) Unwrap() error { return e.Err }

// UnfitError says that a value is not what its schema says, or has no schema that can be used. It repeats nothing of
// the value.
type UnfitError struct{ Text string }

// Error implements error.
func (e *UnfitError) Error() string { return e.Text }

// ShortError says that there is no memory for what would be made of a value, at the moment.
type ShortError struct{ Bytes int64 }

// Error implements error.
func (e *ShortError) Error() string {
	return fmt.Sprintf("there is no memory for %d bytes of JSON (provider_max_memory)", e.Bytes)
}

func unfit(format string, args ...any) error { return &UnfitError{Text: fmt.Sprintf(format, args...)} }

// tooLargeError says that the JSON of a value would be larger than limit bytes.
type tooLargeError struct{ limit int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("its JSON would be larger than %d bytes", e.limit)
}
