package produce

import (
	"errors"
	"fmt"
)

// OutputError says which output has failed a transaction, and why. It wraps [ErrOutput] where Kafka has refused it for
// good.
type OutputError struct {
	Topic string // what the output was for
	Index int    // which one it was, or the first of the batch that Kafka has refused as a whole
	Text  string // why, in words for the operator
	err   error
}

func (e *OutputError) Error() string {
	if errors.Is(e.err, ErrOutput) {
		return fmt.Sprintf("an output for topic %s is refused: %s", e.Topic, e.Text)
	}
	return fmt.Sprintf("producing an output for topic %s: %s", e.Topic, e.Text)
}

func (e *OutputError) Unwrap() error { return e.err }

// Because is the error with another text, of who knows more than Kafka has said.
func (e *OutputError) Because(text string) *OutputError {
	other := *e
	other.Text = text
	return &other
}
