package payload

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// timeFormat has the milliseconds of Kafka's timestamps.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Encode writes a record as an envelope. It does not change the record, and the result shares no memory with it.
func Encode(r *record.Record) []byte {
	stamp, hasStamp := timestampOf(r.Timestamp)
	e, is := eventOf(r)
	if !is {
		e = event{
			{attrSpec, specVersion},
			{attrID, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)},
			// The topic is no authority of the URI (kafka://topic), where case would not count.
			{attrSource, "kafka:" + r.Topic},
			{attrType, Type},
		}
		if hasStamp {
			e = append(e, attribute{attrTime, stamp})
		}
	}
	w := writer{b: make([]byte, 0, 512+len(r.Key)+4*r.Size()/3)}
	for _, a := range e {
		w.text(a.name, a.value)
	}
	w.text(attrTopic, r.Topic)
	w.raw(attrPartition, strconv.Itoa(int(r.Partition)))
	w.text(attrOffset, strconv.FormatInt(r.Offset, 10))
	w.raw(attrAttempt, strconv.Itoa(min(r.Attempt, math.MaxInt32)))
	if hasStamp {
		w.text(attrTimestamp, stamp)
	}
	switch {
	case r.Key == nil:
	case isAttributeText(r.Key):
		w.text(attrKey, string(r.Key))
	default:
		w.base64(attrKeyBase64, r.Key)
	}
	w.text(attrHeaders, string(appendHeaders(nil, r.Headers)))
	w.raw(attrTombstone, strconv.FormatBool(r.Value == nil))
	w.data(r)
	return append(w.b, '}')
}

// timestampOf writes the timestamp of a record, if it has one that RFC 3339 can write. Kafka's -1 is none.
func timestampOf(t time.Time) (string, bool) {
	t = t.UTC()
	if t.UnixMilli() < 0 || t.Year() > 9999 {
		return "", false
	}
	return t.Format(timeFormat), true
}

// writer appends the members of an object.
type writer struct{ b []byte }

func (w *writer) name(name string) {
	separator := byte(',')
	if len(w.b) == 0 {
		separator = '{'
	}
	w.b = append(appendString(append(w.b, separator), name), ':')
}

func (w *writer) raw(name, json string) {
	w.name(name)
	w.b = append(w.b, json...)
}

func (w *writer) text(name, text string) {
	w.name(name)
	w.b = appendString(w.b, text)
}

func (w *writer) base64(name string, value []byte) {
	w.name(name)
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, value)
	w.b = append(w.b, '"')
}

// data writes the value and its type. They stand last, so that a person finds the rest.
func (w *writer) data(r *record.Record) {
	var m media
	if header, has := r.Header(headerContentType); has {
		// What is no media type says nothing. It stays among the headers.
		m, _ = parseMedia(string(header))
	}
	if m.text == "" && r.Value != nil {
		m.text = binaryType
		if utf8.Valid(r.Value) {
			m.text = textType
		}
	}
	if m.text != "" {
		w.text(attrDataType, m.text)
	}
	switch {
	case r.Value == nil:
	case m.json && !m.foreign && isEmbeddable(r.Value):
		w.name(memberData)
		w.b = append(w.b, r.Value...)
	case !m.json && !m.foreign && utf8.Valid(r.Value):
		w.name(memberData)
		w.b = appendString(w.b, r.Value)
	default:
		w.base64(memberBase64, r.Value)
	}
}
