package payload

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// timeFormat has the milliseconds of Kafka's timestamps.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Encode writes a record as an envelope. It does not change the record, and the result shares no memory with it.
func Encode(r *record.Record) []byte { return AppendEvent(nil, r) }

// AppendEvent appends a record as an envelope, as [Encode] writes it.
func AppendEvent(b []byte, r *record.Record) []byte {
	w := writer{b: slices.Grow(b, 512+len(r.Key)+4*r.Size()/3), from: len(b)}
	for _, a := range attributesOf(r) {
		w.attribute(a)
	}
	w.data(r)
	return append(w.b, '}')
}

// attributesOf are the attributes of the event that a record is, or that stands for it, with those of ours behind them.
func attributesOf(r *record.Record) []Attribute {
	stamp, hasStamp := timestampOf(r.Timestamp)
	list := make([]Attribute, 0, 13)
	if e, is := eventOf(r); is {
		list = append(list, e...)
	} else {
		list = append(list,
			Attribute{attrSpec, specVersion},
			Attribute{attrID, r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)},
			// The topic is no authority of the URI (kafka://topic), where case would not count.
			Attribute{attrSource, "kafka:" + r.Topic},
			Attribute{attrType, Type})
		if hasStamp {
			list = append(list, Attribute{attrTime, stamp})
		}
	}
	return appendOwnAttributes(list, r, stamp)
}

// appendOwnAttributes appends the attributes that say what the record is besides an event. stamp is its timestamp, ""
// for none.
func appendOwnAttributes(list []Attribute, r *record.Record, stamp string) []Attribute {
	list = append(list,
		Attribute{attrTopic, r.Topic},
		Attribute{attrPartition, strconv.Itoa(int(r.Partition))},
		Attribute{attrOffset, strconv.FormatInt(r.Offset, 10)},
		Attribute{attrAttempt, strconv.Itoa(min(r.Attempt, math.MaxInt32))})
	if stamp != "" {
		list = append(list, Attribute{attrTimestamp, stamp})
	}
	switch {
	case r.Key == nil:
	case isAttributeText(r.Key):
		list = append(list, Attribute{attrKey, string(r.Key)})
	default:
		list = append(list, Attribute{attrKeyBase64, base64.StdEncoding.EncodeToString(r.Key)})
	}
	return append(list,
		Attribute{attrHeaders, string(appendHeaders(nil, r.Headers))},
		Attribute{attrTombstone, strconv.FormatBool(r.Value == nil)})
}

// timestampOf writes the timestamp of a record, if it has one that RFC 3339 can write. Kafka's -1 is none.
func timestampOf(t time.Time) (string, bool) {
	t = t.UTC()
	if t.UnixMilli() < 0 || t.Year() > 9999 {
		return "", false
	}
	return t.Format(timeFormat), true
}

// writer appends the members of an object, which begins at from.
type writer struct {
	b    []byte
	from int
}

func (w *writer) name(name string) {
	separator := byte(',')
	if len(w.b) == w.from {
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

// attribute writes an attribute in the JSON type that it has.
func (w *writer) attribute(a Attribute) {
	switch a.Name {
	case attrPartition, attrAttempt, attrTombstone:
		w.raw(a.Name, a.Value)
	default:
		w.text(a.Name, a.Value)
	}
}

func (w *writer) base64(name string, value []byte) {
	w.name(name)
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, value)
	w.b = append(w.b, '"')
}

// data writes the value and its type. They stand last, so that a person finds the rest.
func (w *writer) data(r *record.Record) {
	m := mediaOf(r)
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

// mediaOf is what is known of the type of a record's value: by its header, or else by the value.
func mediaOf(r *record.Record) media {
	var m media
	if r.MadeJSON() {
		return media{text: "application/json", json: true} // whatever its header says of what Kafka has
	}
	if header, has := r.Header(headerContentType); has {
		// A text that is no media type says nothing. It stays among the headers.
		m, _ = parseMedia(string(header))
	}
	if m.text == "" && r.Value != nil {
		m.text = binaryType
		if utf8.Valid(r.Value) {
			m.text = textType
		}
	}
	return m
}
