package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Event is an event of CloudEvents in parts, as protocols carry it in binary mode: attributes beside the data.
type Event struct {
	// Attributes are those of the event, each once, and those of ours. datacontenttype is not among them. There are none
	// where the data is an event itself, in structured mode, but those of ours.
	Attributes []Attribute
	// ContentType is the media type of Data, "" where none is known.
	ContentType string
	// Data is nil where there is none.
	Data []byte
}

// The media types of events, and what those of all formats begin with.
const (
	// EventType has one event in the JSON event format, EventsType a list of them.
	EventType  = "application/cloudevents+json"
	EventsType = "application/cloudevents-batch+json"

	eventTypes = "application/cloudevents"
)

// IsEventType tells whether data of a media type, without parameters and in lower case, is events in structured mode,
// whatever their format.
func IsEventType(mediaType string) bool { return strings.HasPrefix(mediaType, eventTypes) }

// EventOf is the event that a record is, or that stands for it: what [Encode] writes, in parts. A record whose content
// type says that its value is an event keeps its value as it is, as the Kafka binding has it in structured mode. The
// data shares memory with the record.
func EventOf(r *record.Record) Event {
	e := Event{ContentType: mediaOf(r).text, Data: r.Value}
	if kind, _, _ := strings.Cut(strings.ToLower(e.ContentType), ";"); IsEventType(kind) {
		stamp, _ := timestampOf(r.Timestamp)
		e.Attributes = appendOwnAttributes(nil, r, stamp)
	} else {
		e.Attributes = attributesOf(r)
	}
	return e
}

// Outgoing reads a record to publish from an event, by the rules of [Decode]. Data that is not there is an empty value,
// unless kafkatombstone says that it is none. The result shares memory with the data.
func (e *Event) Outgoing() (record.Outgoing, error) {
	d := newDecoder()
	for i, a := range e.Attributes {
		var err error
		switch {
		case !utf8.ValidString(a.Value):
			err = errors.New("is not UTF-8")
		case slices.ContainsFunc(e.Attributes[:i], func(b Attribute) bool { return a.Name == b.Name }):
			err = errors.New("is there twice")
		case a.Name == memberData || a.Name == memberBase64 || a.Name == attrDataType:
			err = errors.New("is no attribute in binary mode")
		default:
			err = d.member(member{name: a.Name, raw: appendString(nil, a.Value)})
		}
		if err != nil {
			return record.Outgoing{}, fmt.Errorf("%s: %w", shown(a.Name), err)
		}
	}
	if e.ContentType != "" {
		var err error
		if d.media, err = parseMedia(e.ContentType); err != nil {
			return record.Outgoing{}, fmt.Errorf("%s: %w", attrDataType, err)
		}
	}
	if err := d.checkEvent(); err != nil {
		return record.Outgoing{}, err
	}
	if d.tombstone {
		if len(e.Data) > 0 {
			return record.Outgoing{}, fmt.Errorf("%s: is true beside a value", attrTombstone)
		}
	} else if d.out.Value = e.Data; d.out.Value == nil {
		d.out.Value = []byte{}
	}
	d.place()
	return d.out, nil
}

// DecodeEvents reads records to publish from a list of events, each by the rules of [Decode].
func DecodeEvents(body []byte) ([]record.Outgoing, error) {
	list := json.NewDecoder(bytes.NewReader(body))
	if begins, err := list.Token(); err != nil || begins != json.Delim('[') {
		return nil, errors.New("is not a JSON list of events")
	}
	var outs []record.Outgoing
	for i := 0; list.More(); i++ {
		var one json.RawMessage
		if err := list.Decode(&one); err != nil {
			return nil, fmt.Errorf("event %d: is not JSON: %w", i, err)
		}
		out, err := Decode(one)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		outs = append(outs, out)
	}
	if _, err := list.Token(); err != nil {
		return nil, fmt.Errorf("the list of events does not end: %w", err)
	}
	if _, err := list.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the list of events")
	}
	return outs, nil
}

// AppendEvents appends a list of the envelopes of records.
func AppendEvents(b []byte, batch []*record.Record) []byte {
	b = append(b, '[')
	for i, r := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendEvent(b, r)
	}
	return append(b, ']')
}
