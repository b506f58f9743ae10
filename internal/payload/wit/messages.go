package wit

import (
	"fmt"
	"math"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
)

// maxMessages is how many messages one list may have.
const maxMessages = 1 << 18

// AppendMessage appends a broker-message of wasmcloud:messaging@0.2.0.
func AppendMessage(b []byte, m payload.Message) []byte {
	b = AppendString(b, m.Subject)
	b = AppendBytes(b, m.Body)
	return AppendOptionString(b, m.ReplyTo)
}

// AppendMessages appends list<broker-message>.
func AppendMessages(b []byte, list []payload.Message) []byte {
	b = AppendCount(b, len(list))
	for _, m := range list {
		b = AppendMessage(b, m)
	}
	return b
}

// DecodeMessage reads a broker-message. Its body shares memory with what d reads.
func DecodeMessage(d *Decoder) (m payload.Message, err error) {
	if m.Subject, err = d.String(); err != nil {
		return m, fmt.Errorf("decoding broker-message.subject: %w", err)
	}
	if m.Body, err = d.Bytes(); err != nil {
		return m, fmt.Errorf("decoding broker-message.body: %w", err)
	}
	if m.ReplyTo, err = d.OptionString(); err != nil {
		return m, fmt.Errorf("decoding broker-message.reply-to: %w", err)
	}
	return m, nil
}

// DecodeMessages reads list<broker-message>.
func DecodeMessages(d *Decoder) ([]payload.Message, error) {
	return DecodeList(d, maxMessages, DecodeMessage)
}

// AppendResults appends list<result<_, string>>, of which nil is a result without an error.
func AppendResults(b []byte, failures []*string) []byte {
	b = AppendCount(b, len(failures))
	for _, failure := range failures {
		b = AppendPublished(b, failure)
	}
	return b
}

// DecodeResults reads list<result<_, string>> of n elements; another number is an error.
func DecodeResults(b []byte, n int) ([]*string, error) {
	d := NewBytesDecoder(b)
	results, err := d.Count(math.MaxInt)
	if err != nil {
		return nil, err
	}
	if results != n {
		return nil, wrongNumber(results, n)
	}
	failures := make([]*string, n)
	for i := range failures {
		ok, err := d.Result()
		if err == nil && !ok {
			var text string
			text, err = d.String()
			failures[i] = &text
		}
		if err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
	}
	return failures, d.End()
}

// AppendPublished appends result<_, string>, the result of consumer.publish: of failure where it is not nil.
func AppendPublished(b []byte, failure *string) []byte {
	if failure != nil {
		return AppendString(AppendResult(b, false), ErrorText(*failure))
	}
	return AppendResult(b, true)
}

// AppendMessageAnswer appends result<broker-message, string>, the result of consumer.request: of failure where it is
// not nil.
func AppendMessageAnswer(b []byte, answer payload.Message, failure *string) []byte {
	if failure != nil {
		return AppendPublished(b, failure)
	}
	return AppendMessage(AppendResult(b, true), answer)
}

// DecodeRequestMessage reads what consumer.request sends, a record of subject and body, as a message that asks for no
// other answer.
func DecodeRequestMessage(d *Decoder) (m payload.Message, err error) {
	if m.Subject, err = d.String(); err != nil {
		return m, fmt.Errorf("decoding the subject of a request: %w", err)
	}
	if m.Body, err = d.Bytes(); err != nil {
		return m, fmt.Errorf("decoding the body of a request: %w", err)
	}
	return m, nil
}

func wrongNumber(results, n int) error {
	return fmt.Errorf("there are %d results for a batch of %d: there must be one for each", results, n)
}
