package wit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/base/jsonnames"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The JSON forms of values have the names of the WIT. Null is none; {"text": …} and {"base64": …} are bytes.

// jsonPayload is types.payload: nil is none.
type jsonPayload []byte

func (p jsonPayload) MarshalJSON() ([]byte, error) {
	switch {
	case p == nil:
		return []byte("null"), nil
	case utf8.Valid(p):
		return json.Marshal(struct {
			Text string `json:"text"`
		}{string(p)})
	default:
		return json.Marshal(struct {
			Base64 []byte `json:"base64"`
		}{p})
	}
}

func (p *jsonPayload) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*p = nil
		return nil
	}
	var v struct {
		Text   *string `json:"text"`
		Base64 *string `json:"base64"`
	}
	if err := decodeJSON(b, &v); err != nil {
		return errors.New(`a payload is null, {"text": …} or {"base64": …}`)
	}
	if err := jsonnames.Check(b, &v); err != nil {
		return fmt.Errorf("a payload: %w", err)
	}
	switch {
	case (v.Text == nil) == (v.Base64 == nil):
		return errors.New(`a payload has one of "text" and "base64"`)
	case v.Text != nil:
		*p = []byte(*v.Text)
	default:
		raw, err := base64.StdEncoding.DecodeString(*v.Base64)
		if err != nil {
			return fmt.Errorf("a payload's base64: %w", err)
		}
		*p = raw
	}
	if *p == nil {
		*p = []byte{}
	}
	return nil
}

type jsonHeader struct {
	Name  string      `json:"name"`
	Value jsonPayload `json:"value"`
}

type jsonIncoming struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"`
	Key       jsonPayload  `json:"key"`
	Value     jsonPayload  `json:"value"`
	Headers   []jsonHeader `json:"headers"`
	Attempt   uint32       `json:"attempt"`
}

type jsonOutgoing struct {
	Topic     string       `json:"topic"`
	Partition *jsonNumber  `json:"partition,omitempty"`
	Key       jsonPayload  `json:"key"`
	Value     jsonPayload  `json:"value"`
	Headers   []jsonHeader `json:"headers,omitempty"`
	Timestamp *jsonNumber  `json:"timestamp,omitempty"`
}

// jsonNumber is any number of JSON. One that does not fit is the fault of its record alone, and not one of the list
// that the record stands in, whose other elements can be read.
type jsonNumber string

func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

func (n *jsonNumber) UnmarshalJSON(b []byte) error {
	if b[0] != '-' && (b[0] < '0' || b[0] > '9') {
		return &json.UnmarshalTypeError{Value: kindOfJSON(b[0])}
	}
	*n = jsonNumber(b)
	return nil
}

// kindOfJSON names a value of JSON by its first byte.
func kindOfJSON(first byte) string {
	switch first {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	default:
		return "bool"
	}
}

func numberJSON(n int64) *jsonNumber { return new(jsonNumber(strconv.FormatInt(n, 10))) }

// upTo returns a whole number from 0 to most. JSON knows no whole numbers apart: 3.0 is one.
func (n jsonNumber) upTo(most int64) (int64, error) {
	whole, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		const exact = 1 << 53 // up to here a float has all whole numbers
		f, err := strconv.ParseFloat(string(n), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
			return 0, fmt.Errorf("is no whole number from 0 to %d: %w", most, payload.ErrUnstorable)
		}
		whole = int64(f)
	}
	if whole < 0 || whole > most {
		return 0, fmt.Errorf("is no whole number from 0 to %d: %w", most, payload.ErrUnstorable)
	}
	return whole, nil
}

type jsonOutcome struct {
	OK     *[]jsonOutgoing `json:"ok,omitempty"`
	Retry  *string         `json:"retry,omitempty"`
	Reject *string         `json:"reject,omitempty"`
}

func headersJSON(list []record.Header) []jsonHeader {
	headers := make([]jsonHeader, len(list))
	for i, h := range list {
		headers[i] = jsonHeader{Name: h.Key, Value: h.Value}
	}
	return headers
}

func incomingJSON(r *record.Record) jsonIncoming {
	return jsonIncoming{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: max(0, r.Timestamp.UnixMilli()),
		Key: r.Key, Value: r.Value, Headers: headersJSON(r.Headers),
		Attempt: uint32(min(max(1, int64(r.Attempt)), math.MaxUint32)),
	}
}

func outgoingJSON(o *record.Outgoing) jsonOutgoing {
	j := jsonOutgoing{Topic: o.Topic, Key: o.Key, Value: o.Value, Headers: headersJSON(o.Headers)}
	if o.Partition >= 0 {
		j.Partition = numberJSON(int64(o.Partition))
	}
	if !o.Timestamp.IsZero() {
		j.Timestamp = numberJSON(max(0, o.Timestamp.UnixMilli()))
	}
	return j
}

// record returns the record, with an error that wraps [payload.ErrUnstorable] where no topic could ever take it.
func (j *jsonOutgoing) record() (record.Outgoing, error) {
	o := record.Outgoing{Topic: j.Topic, Partition: record.AnyPartition, Key: j.Key, Value: j.Value}
	if j.Topic == "" {
		return o, errors.New("an outgoing record has no topic")
	}
	if j.Partition != nil {
		n, err := j.Partition.upTo(math.MaxInt32)
		if err != nil {
			return o, fmt.Errorf("partition: %w", err)
		}
		o.Partition = int32(n)
	}
	if j.Timestamp != nil {
		ms, err := j.Timestamp.upTo(math.MaxInt64)
		if err != nil {
			return o, fmt.Errorf("timestamp: %w", err)
		}
		o.Timestamp = time.UnixMilli(ms)
	}
	for _, h := range j.Headers {
		o.Headers = append(o.Headers, record.Header{Key: h.Name, Value: h.Value})
	}
	return o, nil
}

// AppendBatchJSON appends list<incoming> as JSON.
func AppendBatchJSON(b []byte, batch []*record.Record) []byte {
	list := make([]jsonIncoming, len(batch))
	for i, r := range batch {
		list[i] = incomingJSON(r)
	}
	return appendJSON(b, list)
}

// AppendProcessedJSON appends list<result<list<outgoing>, failure>> as JSON.
func AppendProcessedJSON(b []byte, outcomes []record.Outcome) []byte {
	list := make([]jsonOutcome, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		text := ""
		if o.Err != nil {
			text = ErrorText(o.Err.Error())
		}
		switch o.Kind {
		case record.Done, record.Skipped:
			outputs := make([]jsonOutgoing, len(o.Outputs))
			for k := range o.Outputs {
				outputs[k] = outgoingJSON(&o.Outputs[k])
			}
			list[i].OK = &outputs
		case record.Reject:
			list[i].Reject = &text
		default:
			list[i].Retry = &text
		}
	}
	return appendJSON(b, list)
}

// DecodeProcessedJSON reads what [AppendProcessedJSON] writes, for a batch of n records; another number is an error.
func DecodeProcessedJSON(b []byte, n int) ([]record.Outcome, error) {
	var list []jsonOutcome
	if err := UnmarshalJSON(b, &list); err != nil {
		return nil, err
	}
	if len(list) != n {
		return nil, wrongNumber(len(list), n)
	}
	outcomes := make([]record.Outcome, n)
	for i := range list {
		if err := list[i].outcome(&outcomes[i]); err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
	}
	return outcomes, nil
}

func (j *jsonOutcome) outcome(o *record.Outcome) error {
	var text *string
	switch {
	case j.OK != nil && j.Retry == nil && j.Reject == nil:
		o.Kind = record.Done
		for k := range *j.OK {
			out, err := (*j.OK)[k].record()
			switch {
			case err == nil:
				o.Outputs = append(o.Outputs, out)
			case !errors.Is(err, payload.ErrUnstorable):
				return fmt.Errorf("output %d: %w", k, err)
			case o.Err == nil:
				o.Kind, o.Err = record.Reject, fmt.Errorf("output %d: %w", k, err)
			}
		}
		if o.Err != nil {
			o.Outputs = nil
		}
		return nil
	case j.OK == nil && j.Retry != nil && j.Reject == nil:
		o.Kind, text = record.Retry, j.Retry
	case j.OK == nil && j.Retry == nil && j.Reject != nil:
		o.Kind, text = record.Reject, j.Reject
	default:
		return errors.New(`a result has one of "ok", "retry" and "reject"`)
	}
	reason := *text
	if reason == "" {
		reason = noReason
	}
	o.Err = errors.New(reason)
	return nil
}

type jsonMessage struct {
	Subject string  `json:"subject"`
	Body    []byte  `json:"body"`
	ReplyTo *string `json:"reply-to,omitempty"`
}

// AppendMessagesJSON appends list<broker-message> as JSON.
func AppendMessagesJSON(b []byte, list []payload.Message) []byte {
	out := make([]jsonMessage, len(list))
	for i, m := range list {
		out[i] = messageJSON(m)
	}
	return appendJSON(b, out)
}

func messageJSON(m payload.Message) jsonMessage {
	j := jsonMessage(m)
	if j.Body == nil {
		j.Body = []byte{} // which null is not
	}
	return j
}

type jsonResult struct {
	OK    bool    `json:"ok,omitempty"`
	Error *string `json:"error,omitempty"`
}

// DecodeResultsJSON reads the JSON form of list<result<_, string>> of n elements: {"ok": true} or {"error": "text"}
// each.
func DecodeResultsJSON(b []byte, n int) ([]*string, error) {
	var list []jsonResult
	if err := UnmarshalJSON(b, &list); err != nil {
		return nil, err
	}
	if len(list) != n {
		return nil, wrongNumber(len(list), n)
	}
	failures := make([]*string, n)
	for i, r := range list {
		if r.OK == (r.Error != nil) {
			return nil, fmt.Errorf(`result %d: %w: it has one of "ok": true and "error"`, i, ErrMalformed)
		}
		failures[i] = r.Error
	}
	return failures, nil
}

// UnmarshalJSON reads one JSON value that is all there is, is UTF-8, and has no member that is not known or there
// twice; names differ by case. Its errors wrap [ErrMalformed] and repeat nothing of the value but names.
func UnmarshalJSON(b []byte, to any) error {
	if err := decodeJSON(b, to); err != nil {
		return err
	}
	if err := jsonnames.Check(b, to); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// decodeJSON is UnmarshalJSON without a look at the names that encoding/json takes.
func decodeJSON(b []byte, to any) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: JSON that is not UTF-8", ErrMalformed)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, jsonFault(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is more behind the value", ErrMalformed)
	}
	return nil
}

// jsonFault says what is wrong with JSON in words for whoever wrote it, who knows no types of Go.
func jsonFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON is not complete")
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("no JSON: %w", e)
	}
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	kind, _, _ := strings.Cut(e.Value, " ") // a number has its digits behind it
	if e.Field == "" {
		return fmt.Errorf("a JSON %s stands where something else is expected", kind)
	}
	return fmt.Errorf("%s: a JSON %s does not fit there", e.Field, kind)
}

// appendJSON appends v, which can be written.
func appendJSON(b []byte, v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("writing JSON of %T: %v", v, err)) // none of the types can fail
	}
	return append(b, out...)
}
