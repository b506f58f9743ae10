package wit

import (
	"context"
	"errors"
	"fmt"
)

// SendCase is a case of types.send-error.
type SendCase uint8

// The cases, in the order of the WIT.
const (
	// TooLarge: the record is larger than the link or the topic allows.
	TooLarge SendCase = iota
	UnknownTopic
	// NotAuthorised: the broker's ACLs or the link's allowed_topics forbid it.
	NotAuthorised
	// TimedOut: no acknowledgement came in time, the record may or may not be stored.
	TimedOut
	// Unavailable: the brokers cannot be reached, or the link is ending.
	Unavailable
	// Invalid: the record cannot be produced as it is.
	Invalid
	Other
	sendCases
)

var sendCaseNames = [sendCases]string{"too-large", "unknown-topic", "not-authorised", "timed-out", "unavailable",
	"invalid", "other"}

// String returns the name that the case has in the WIT.
func (c SendCase) String() string {
	if c < sendCases {
		return sendCaseNames[c]
	}
	return fmt.Sprintf("send-error(%d)", uint8(c))
}

// SendError is types.send-error: why a record was not produced, as components can tell it apart.
type SendError struct {
	Case SendCase
	// Size is what the record has and Limit what it may have, in bytes, with [TooLarge].
	Size, Limit uint64
	// Text says what is wrong and what mends it, to the author of the component, with every case but [TooLarge],
	// which has no place for it.
	Text string
}

func (e *SendError) Error() string {
	if e.Case == TooLarge {
		return fmt.Sprintf("too-large: %d bytes where %d are allowed", e.Size, e.Limit)
	}
	return e.Case.String() + ": " + e.Text
}

// SendErrorOf makes a send-error of an error: of one that is or wraps a [*SendError] that, of a
// [context.DeadlineExceeded] a [TimedOut], of any other one [Other].
func SendErrorOf(err error) *SendError {
	var known *SendError
	switch {
	case errors.As(err, &known) && known.Case < sendCases:
		return known
	case errors.Is(err, context.DeadlineExceeded):
		return &SendError{Case: TimedOut, Text: err.Error()}
	default:
		return &SendError{Case: Other, Text: err.Error()}
	}
}

// AppendSendError appends a send-error.
func AppendSendError(b []byte, e *SendError) []byte {
	b = AppendCase(b, uint32(e.Case))
	if e.Case == TooLarge {
		return AppendU64(AppendU64(b, e.Size), e.Limit)
	}
	return AppendString(b, ErrorText(e.Text))
}

func (r *reader) sendError() (*SendError, error) {
	index, err := r.d.Case(uint32(sendCases))
	if err != nil {
		return nil, fmt.Errorf("decoding send-error: %w", err)
	}
	e := &SendError{Case: SendCase(index)}
	if e.Case != TooLarge {
		if e.Text, err = r.d.String(); err != nil {
			return nil, fmt.Errorf("decoding the text of a send-error: %w", err)
		}
		return e, nil
	}
	if e.Size, err = r.d.U64(); err != nil {
		return nil, fmt.Errorf("decoding size-limit.size: %w", err)
	}
	if e.Limit, err = r.d.U64(); err != nil {
		return nil, fmt.Errorf("decoding size-limit.limit: %w", err)
	}
	return e, nil
}
