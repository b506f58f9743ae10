package httpin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The media types of bodies with records, as REST proxies have them: what stands for key and value differs.
const (
	mediaJSON   = "application/vnd.kafka.json.v2+json"
	mediaBinary = "application/vnd.kafka.binary.v2+json"
	mediaText   = "application/vnd.kafka.text.v2+json"
	// mediaAnswer is what answers to these are.
	mediaAnswer = "application/vnd.kafka.v2+json"
	mediaPlain  = "application/json" // as mediaJSON
)

// topics is POST /topics/{topic}.
func (x *exchange) topics() error {
	if fault := record.TopicNameFault(x.topic); fault != "" {
		return badRequest("%s", fault)
	}
	if x.inBinaryMode() {
		return x.events()
	}
	switch x.media {
	case payload.EventType, payload.EventsType:
		return x.events()
	case mediaJSON, mediaPlain:
		return x.topicRecords(embeddedJSON)
	case mediaBinary:
		return x.topicRecords(embeddedBase64)
	case mediaText:
		return x.topicRecords(embeddedText)
	case "text/plain", "application/octet-stream":
		return x.topicRecord()
	}
	return otherMedia("the body is one of " + strings.Join([]string{mediaJSON, mediaPlain, mediaBinary, mediaText, "text/plain", "application/octet-stream",
		payload.EventType, payload.EventsType}, ", "))
}

// topicRecords produces the records of a list.
func (x *exchange) topicRecords(embedded func(json.RawMessage) ([]byte, error)) error {
	if _, err := x.query(); err != nil {
		return err
	}
	b, err := x.body()
	if err != nil {
		return err
	}
	if err := x.holdJSON(b); err != nil {
		return err
	}
	list, err := decodeRecords(b, x.topic, embedded)
	if err != nil {
		return err
	}
	answer := mediaAnswer
	if x.media == mediaPlain {
		answer = mediaPlain
	}
	results, err := x.send(list)
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, answer, appendOffsets(results))
}

// topicRecord produces a body as the value of one record.
func (x *exchange) topicRecord() error {
	values, err := x.query("key", "partition", "timestamp")
	if err != nil {
		return err
	}
	out := record.Outgoing{Topic: x.topic, Partition: record.AnyPartition}
	if key, there := values["key"]; there {
		out.Key = []byte(key)
	}
	if text, there := values["partition"]; there {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return badRequest("partition is a number from 0 on")
		}
		out.Partition = int32(n)
	}
	if text, there := values["timestamp"]; there {
		ms, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return badRequest("timestamp is a number of milliseconds since 1970")
		}
		out.Timestamp = time.UnixMilli(int64(ms))
	}
	if out.Value, err = x.body(); err != nil {
		return err
	}
	if x.media == "text/plain" && !utf8.Valid(out.Value) {
		return badRequest("the text is not UTF-8: send bytes as application/octet-stream")
	}
	return x.sendOne(out)
}

// sendOne produces one record. Where it is not stored, the status of the answer says so.
func (x *exchange) sendOne(out record.Outgoing) error {
	results, err := x.send([]record.Outgoing{out})
	if err != nil {
		return err
	}
	if err := results[0].Err; err != nil {
		return notStored(wit.SendErrorOf(err))
	}
	return x.reply(http.StatusOK, mediaPlain, appendOffsets(results))
}

// offset is what an answer says of a record.
type offset struct {
	Partition *int32 `json:"partition,omitempty"`
	// Offset is -1 where the broker tells none.
	Offset    *int64 `json:"offset,omitempty"`
	ErrorCode int    `json:"error_code,omitempty"`
	Error     string `json:"error,omitempty"`
}

func offsetsOf(results []record.Result) []offset {
	list := make([]offset, len(results))
	for i := range results {
		if err := results[i].Err; err != nil {
			e := wit.SendErrorOf(err)
			list[i] = offset{ErrorCode: statuses[e.Case], Error: sendText(e)}
			continue
		}
		list[i] = offset{Partition: &results[i].Partition, Offset: &results[i].Offset}
	}
	return list
}

// appendOffsets writes the answer for records.
func appendOffsets(results []record.Result) []byte {
	b, err := json.Marshal(struct {
		Offsets []offset `json:"offsets"`
	}{offsetsOf(results)})
	if err != nil {
		panic(fmt.Sprintf("writing numbers and texts as JSON: %v", err)) // which cannot fail
	}
	return b
}

type restHeader struct {
	Key   *string         `json:"key"`
	Name  *string         `json:"name"`
	Value json.RawMessage `json:"value"`
	Text  *string         `json:"text"`
}

type restRecord struct {
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
	Partition *int32          `json:"partition"`
	Headers   []restHeader    `json:"headers"`
	Timestamp *int64          `json:"timestamp"`
}

// decodeRecords reads {"records": […]}. Its errors are for the caller.
func decodeRecords(b []byte, topic string, embedded func(json.RawMessage) ([]byte, error)) ([]record.Outgoing, error) {
	var body struct {
		Records *[]json.RawMessage `json:"records"`
	}
	if err := wit.UnmarshalJSON(b, &body); err != nil {
		return nil, badRequest("%v", err)
	}
	if body.Records == nil || len(*body.Records) == 0 {
		return nil, badRequest(`there are no "records"`)
	}
	list := make([]record.Outgoing, len(*body.Records))
	for i, raw := range *body.Records {
		var r restRecord
		err := wit.UnmarshalJSON(raw, &r)
		if err == nil {
			list[i], err = r.outgoing(topic, embedded)
		}
		if err != nil {
			return nil, badRequest("record %d: %v", i, err)
		}
	}
	return list, nil
}

func (r *restRecord) outgoing(topic string, embedded func(json.RawMessage) ([]byte, error)) (record.Outgoing, error) {
	out := record.Outgoing{Topic: topic, Partition: record.AnyPartition}
	if r.Value == nil {
		return out, errors.New(`there is no "value"; null deletes the key from a compacted topic`)
	}
	var err error
	if out.Key, err = orNull(r.Key, embedded); err != nil {
		return out, fmt.Errorf("key: %w", err)
	}
	if out.Value, err = orNull(r.Value, embedded); err != nil {
		return out, fmt.Errorf("value: %w", err)
	}
	if r.Partition != nil {
		if out.Partition = *r.Partition; out.Partition < 0 {
			return out, errors.New("partition: is below 0")
		}
	}
	if r.Timestamp != nil {
		if *r.Timestamp < 0 {
			return out, errors.New("timestamp: is before 1970")
		}
		out.Timestamp = time.UnixMilli(*r.Timestamp)
	}
	for i := range r.Headers {
		h, err := r.Headers[i].header()
		if err != nil {
			return out, fmt.Errorf("header %d: %w", i, err)
		}
		out.Headers = append(out.Headers, h)
	}
	return out, nil
}

func (h *restHeader) header() (out record.Header, err error) {
	switch {
	case (h.Key == nil) == (h.Name == nil):
		return out, errors.New(`has one of "key" and "name"`)
	case h.Key != nil:
		out.Key = *h.Key
	default:
		out.Key = *h.Name
	}
	switch {
	case (h.Value == nil) == (h.Text == nil):
		return out, errors.New(`has one of "value" (base64, or null) and "text"`)
	case h.Text != nil:
		out.Value = []byte(*h.Text)
	default:
		out.Value, err = orNull(h.Value, embeddedBase64)
	}
	return out, err
}

// orNull is nil for null and what is not there.
func orNull(raw json.RawMessage, embedded func(json.RawMessage) ([]byte, error)) ([]byte, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	return embedded(raw)
}

// embeddedJSON is any JSON, of which nothing but spaces between its parts is left out: numbers keep their digits, and
// equal keys stay equal however they were written.
func embeddedJSON(raw json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(raw))
	err := json.Compact(&b, raw)
	return b.Bytes(), err
}

func embeddedText(raw json.RawMessage) ([]byte, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, errors.New("is not a string or null")
	}
	return []byte(text), nil
}

func embeddedBase64(raw json.RawMessage) ([]byte, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, errors.New("is not a string or null")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64 with padding (RFC 4648, section 4)")
	}
	return append([]byte{}, b...), nil
}

// query reads the parameters of the path, each of which is there once at most.
func (x *exchange) query(known ...string) (map[string]string, error) {
	all, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the parameters behind the question mark cannot be read")
	}
	values := make(map[string]string, len(all))
	for name, list := range all {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, badRequest("there are no parameters for this body")
			}
			return nil, badRequest("the parameters are %s", strings.Join(known, ", "))
		}
		if len(list) > 1 {
			return nil, badRequest("%s is there twice", name)
		}
		values[name] = list[0]
	}
	return values, nil
}
