package produce

import (
	"errors"
	"fmt"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// OutputError says which output has failed a transaction, and why. It wraps [ErrOutput] where Kafka has refused it for
// good.
type OutputError struct {
	Topic string // what the output was for
	// Among are all topics that it may have been for, nil where Topic is known to be it.
	Among []string
	Index int    // which one it was, or the first of the batch that Kafka has refused as a whole
	Text  string // why, in words for the operator
	err   error
}

func (e *OutputError) Error() string {
	of := "topic " + e.Topic
	if len(e.Among) > 0 {
		of = "one of the topics " + text.List(e.Among, maxAmong, strings.Clone)
	}
	if errors.Is(e.err, ErrOutput) {
		return fmt.Sprintf("an output for %s is refused: %s", of, e.Text)
	}
	return fmt.Sprintf("producing an output for %s: %s", of, e.Text)
}

// maxAmong is how many topics are named of those that an output may have been for; the others are counted.
const maxAmong = 10

func (e *OutputError) Unwrap() error { return e.err }

// Because is the error with another text, of who knows more than Kafka has said.
func (e *OutputError) Because(why string) *OutputError {
	other := *e
	other.Text = why
	return &other
}
