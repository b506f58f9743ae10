package natsout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/jsonnames"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The words by which consumers of JetStream answer.
var (
	wordAck      = []byte("+ACK")
	wordOK       = []byte("+OK") // what servers and old clients say for it
	wordNak      = []byte("-NAK")
	wordTerm     = []byte("+TERM")
	wordProgress = []byte("+WPI")
)

// inProgress tells whether a reply asks for more time.
func inProgress(body []byte) bool { return bytes.Equal(bytes.TrimSpace(body), wordProgress) }

// verdict says what a reply means for its record. content tells that it is none of the words, so that the record is
// handled and the body is an answer.
func verdict(m *nats.Msg) (o record.Outcome, content bool) {
	if code := m.Header.Get(serviceErrorCode); code != "" {
		return record.Outcome{Kind: record.Retry, Err: fmt.Errorf("the service answers with error %s: %s",
			code, m.Header.Get(serviceError))}, false
	}
	body := bytes.TrimSpace(m.Data)
	switch {
	case len(body) == 0, bytes.Equal(body, wordAck), bytes.Equal(body, wordOK):
		return record.Outcome{Kind: record.Done}, false
	case begins(body, wordNak):
		return nak(body[len(wordNak):]), false
	case begins(body, wordTerm):
		reason := strings.TrimSpace(string(body[len(wordTerm):]))
		if reason == "" {
			reason = "the application answers +TERM"
		}
		return record.Outcome{Kind: record.Reject, Err: errors.New(reason)}, false
	default:
		return record.Outcome{Kind: record.Done}, true
	}
}

// The headers by which services of NATS (the micro framework) say that their answer is an error.
const (
	serviceError     = "Nats-Service-Error"
	serviceErrorCode = "Nats-Service-Error-Code"
)

// begins tells whether a body is a word, alone or with something behind it.
func begins(body, word []byte) bool {
	rest, is := bytes.CutPrefix(body, word)
	return is && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r' || rest[0] == '{')
}

// nak reads what stands behind -NAK: nothing, {"delay": nanoseconds}, a delay as Go writes it, or words.
func nak(argument []byte) record.Outcome {
	o := record.Outcome{Kind: record.Retry, Err: errors.New("the application answers -NAK")}
	argument = bytes.TrimSpace(argument)
	if len(argument) == 0 {
		return o
	}
	var options struct {
		Delay *int64 `json:"delay"`
	}
	if err := json.Unmarshal(argument, &options); err == nil && options.Delay != nil {
		if err := jsonnames.Check(argument, &options); err != nil {
			o.Err = fmt.Errorf("the application answers -NAK: %w", err)
			return o
		}
		o.After = bounded(time.Duration(*options.Delay))
		return o
	}
	if delay, err := time.ParseDuration(string(argument)); err == nil {
		o.After = bounded(delay)
		return o
	}
	o.Err = fmt.Errorf("the application answers -NAK: %s", argument)
	return o
}

// bounded is a delay as far as it makes sense; the engine has a bound of its own below.
func bounded(delay time.Duration) time.Duration { return min(max(delay, 0), 24*time.Hour) }
