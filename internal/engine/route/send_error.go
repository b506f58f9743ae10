package route

import (
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// sendCases are what the WIT has for the ends of a publish; all others are [wit.Other].
var sendCases = map[produce.Class]wit.SendCase{
	produce.ClassTooLarge:      wit.TooLarge,
	produce.ClassUnknownTopic:  wit.UnknownTopic,
	produce.ClassNotAuthorised: wit.NotAuthorised,
	produce.ClassTimedOut:      wit.TimedOut,
	produce.ClassUnavailable:   wit.Unavailable,
	produce.ClassInvalid:       wit.Invalid,
}

// SendErrorOf makes of an error of [Route.Send], [Route.Request] and the like what the WIT's send-error can say of it.
// Its text has to go through [redact.Redactor] before anybody sees it.
func SendErrorOf(err error) *wit.SendError {
	if errors.Is(err, ErrNoReplyTopic) {
		return &wit.SendError{Case: wit.Invalid, Text: err.Error()}
	}
	if _, ok := errors.AsType[*UnusableError](err); ok {
		return &wit.SendError{Case: wit.Unavailable, Text: err.Error()}
	}
	e, ok := errors.AsType[*produce.Error](err)
	if !ok {
		return wit.SendErrorOf(err)
	}
	s := &wit.SendError{Case: wit.Other, Text: e.Error()}
	if known, ok := sendCases[e.Class]; ok {
		s.Case = known
	}
	if s.Case == wit.TooLarge {
		s.Size, s.Limit = uint64(e.Size), uint64(e.Limit)
	}
	return s
}
