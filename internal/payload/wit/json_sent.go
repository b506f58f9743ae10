package wit

import (
	"encoding/json"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// DecodeOutgoingsJSON reads list<outgoing> as JSON. Memory is the caller's to bound: a record of two bytes has more
// than a hundred when it is read.
func DecodeOutgoingsJSON(b []byte) ([]record.Outgoing, error) {
	var elements []json.RawMessage // which share no memory with the records
	if err := UnmarshalJSON(b, &elements); err != nil {
		return nil, err
	}
	if len(elements) > maxRecords {
		return nil, fmt.Errorf("%w: a list of %d records, of which %d are allowed", ErrTooLarge, len(elements), maxRecords)
	}
	list := make([]record.Outgoing, len(elements))
	for i, element := range elements {
		var err error
		if list[i], err = DecodeOutgoingJSON(element); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return list, nil
}

// DecodeOutgoingJSON reads an outgoing as JSON.
func DecodeOutgoingJSON(b []byte) (record.Outgoing, error) {
	var j jsonOutgoing
	if err := UnmarshalJSON(b, &j); err != nil {
		return record.Outgoing{}, err
	}
	out, err := j.record()
	if err != nil {
		return record.Outgoing{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return out, nil
}

type jsonPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Offset is -1 where the broker tells none.
	Offset int64 `json:"offset"`
}

type jsonSendError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Size    *uint64 `json:"size,omitempty"`
	Limit   *uint64 `json:"limit,omitempty"`
}

func sendErrorJSON(e *SendError) *jsonSendError {
	j := &jsonSendError{Code: e.Case.String(), Message: ErrorText(e.Text)}
	if e.Case == TooLarge {
		j.Size, j.Limit = &e.Size, &e.Limit
		if j.Message == "" {
			j.Message = e.Error()
		}
	}
	return j
}

type jsonSent struct {
	OK    *jsonPosition  `json:"ok,omitempty"`
	Error *jsonSendError `json:"error,omitempty"`
}

// AppendSentJSON appends list<result<position, send-error>> as JSON.
func AppendSentJSON(b []byte, results []record.Result) []byte {
	list := make([]jsonSent, len(results))
	for i := range results {
		if err := results[i].Err; err != nil {
			list[i].Error = sendErrorJSON(SendErrorOf(err))
			continue
		}
		list[i].OK = (*jsonPosition)(&results[i].Position)
	}
	return appendJSON(b, list)
}

type jsonAnswer struct {
	OK    *jsonIncoming  `json:"ok,omitempty"`
	Error *jsonSendError `json:"error,omitempty"`
}

// AppendAnswerJSON appends result<incoming, send-error> as JSON: of failure where it is not nil.
func AppendAnswerJSON(b []byte, answer *record.Record, failure error) []byte {
	if failure != nil {
		return appendJSON(b, jsonAnswer{Error: sendErrorJSON(SendErrorOf(failure))})
	}
	incoming := incomingJSON(answer)
	return appendJSON(b, jsonAnswer{OK: &incoming})
}

// DecodeMessageJSON reads a broker-message as JSON.
func DecodeMessageJSON(b []byte) (payload.Message, error) {
	var j jsonMessage
	if err := UnmarshalJSON(b, &j); err != nil {
		return payload.Message{}, err
	}
	return payload.Message(j), nil
}

// AppendPublishedJSON appends result<_, string> as JSON: of failure where it is not nil.
func AppendPublishedJSON(b []byte, failure *string) []byte {
	if failure != nil {
		text := ErrorText(*failure)
		return appendJSON(b, jsonResult{Error: &text})
	}
	return appendJSON(b, jsonResult{OK: true})
}

type jsonMessageAnswer struct {
	OK    *jsonMessage `json:"ok,omitempty"`
	Error *string      `json:"error,omitempty"`
}

// AppendMessageAnswerJSON appends result<broker-message, string> as JSON: of failure where it is not nil.
func AppendMessageAnswerJSON(b []byte, answer payload.Message, failure *string) []byte {
	if failure != nil {
		text := ErrorText(*failure)
		return appendJSON(b, jsonMessageAnswer{Error: &text})
	}
	m := messageJSON(answer)
	return appendJSON(b, jsonMessageAnswer{OK: &m})
}
