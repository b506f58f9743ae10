package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// ErrUnstorable is wrapped by the errors of records that can be read and ask for what no topic has, such as partition
// -1.
var ErrUnstorable = errors.New("no topic takes the record")

// Decode reads a record to publish from an envelope. Its Topic is left empty, for the subject of the message names it;
// its Partition is [record.AnyPartition] unless the envelope asks for one.
//
// The headers of the record are kafkaheaders, where that is given. Otherwise an event (an envelope with specversion) is
// stored in the binary mode of the CloudEvents Kafka protocol binding: attributes as headers ce_<name>, its
// datacontenttype as content-type.
//
// An error names the member that is wrong, repeats nothing of the record, and is meant for the author of the component.
// The result does not share memory with body.
func Decode(body []byte) (record.Outgoing, error) {
	list, err := parseMembers(body)
	if err != nil {
		return record.Outgoing{}, err
	}
	d := newDecoder()
	for _, m := range list {
		if err := d.member(m); err != nil {
			return record.Outgoing{}, fmt.Errorf("%s: %w", shown(m.name), err)
		}
	}
	if err := d.finish(); err != nil {
		return record.Outgoing{}, err
	}
	return d.out, nil
}

func newDecoder() decoder {
	return decoder{out: record.Outgoing{Partition: record.AnyPartition}, partition: record.AnyPartition}
}

// decoder collects what the members of an envelope say.
type decoder struct {
	out record.Outgoing

	data, base64 json.RawMessage // nil where they are not there
	media        media
	event        event
	partition    int32
	wasRead      bool // the envelope stands for a record that was read: it has an offset
	hasKey       bool
	hasHeaders   bool
	tombstone    bool
}

// member takes one member up. null is as good as not there, as CloudEvents has it for attributes.
func (d *decoder) member(m member) error {
	if m.name == memberData {
		d.data = m.raw
		return nil
	}
	if m.isNull() {
		return nil
	}
	switch m.name {
	case memberBase64:
		d.base64 = m.raw
		return nil
	case attrDataType:
		text, err := parseString(m.raw)
		if err != nil {
			return err
		}
		d.media, err = parseMedia(text)
		return err
	}
	if strings.HasPrefix(m.name, ownPrefix) {
		return d.own(m)
	}
	if !isMapped(m.name) {
		return errors.New("is no name that CloudEvents allows: lower-case letters and digits only")
	}
	a := Attribute{Name: m.name}
	var err error
	if a.Value, err = canonical(m.raw); err == nil {
		err = checkAttribute(a)
	}
	d.event = append(d.event, a)
	return err
}

// own takes up an extension attribute of ours.
func (d *decoder) own(m member) error {
	text, err := canonical(m.raw)
	switch {
	case err != nil && m.name == attrPartition:
		return fmt.Errorf("%w: %w", err, ErrUnstorable)
	case err != nil:
		return err
	}
	switch m.name {
	case attrTopic, attrAttempt:
	case attrOffset:
		d.wasRead = true
	case attrPartition:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fmt.Errorf("is not a number from 0 to %d: %w", 1<<31-1, ErrUnstorable)
		}
		d.partition = int32(n)
	case attrTimestamp:
		const fault = "is not a time since 1970 as RFC 3339 writes it (2026-01-31T08:00:00.000Z)"
		if d.out.Timestamp, err = time.Parse(time.RFC3339, text); err != nil {
			return errors.New(fault)
		}
		if d.out.Timestamp.UnixMilli() < 0 {
			return fmt.Errorf("%s: %w", fault, ErrUnstorable)
		}
		d.out.Timestamp = d.out.Timestamp.UTC().Truncate(time.Millisecond)
	case attrKey, attrKeyBase64:
		if d.hasKey {
			return fmt.Errorf("stands beside the other of %s and %s", attrKey, attrKeyBase64)
		}
		d.hasKey = true
		if m.name == attrKeyBase64 {
			d.out.Key, err = parseBase64(m.raw)
			return err
		}
		d.out.Key = []byte(text)
	case attrHeaders:
		if m.raw[0] != '"' {
			return errNoString
		}
		d.hasHeaders = true
		d.out.Headers, err = parseHeaders(text)
		return err
	case attrTombstone:
		d.tombstone, err = strconv.ParseBool(text)
		if err != nil || text != strconv.FormatBool(d.tombstone) {
			return errors.New("is not true or false")
		}
	default:
		return fmt.Errorf("is not known; the names that begin with %s are %s", ownPrefix, strings.Join([]string{
			attrKey, attrKeyBase64, attrHeaders, attrTombstone, attrTimestamp, attrPartition, attrOffset, attrTopic,
			attrAttempt}, ", "))
	}
	return nil
}

// canonical is the string form of an attribute's value: CloudEvents allows it in place of every other type.
func canonical(raw json.RawMessage) (string, error) {
	switch c := raw[0]; {
	case c == '"':
		return parseString(raw)
	case c == 't' || c == 'f' || c == '-' || c >= '0' && c <= '9':
		if strings.ContainsAny(string(raw), ".eE") && c != 't' && c != 'f' {
			return "", errors.New("is not an integer")
		}
		return string(raw), nil
	default:
		return "", errors.New("is not a string, an integer or a boolean, and attributes are nothing else")
	}
}

// finish looks at what depends on several members.
func (d *decoder) finish() error {
	if err := d.checkEvent(); err != nil {
		return err
	}
	if err := d.value(); err != nil {
		return err
	}
	d.place()
	return nil
}

// place sets where the record goes, and its headers.
func (d *decoder) place() {
	if !d.wasRead {
		d.out.Partition = d.partition
	}
	if !d.hasHeaders && len(d.event) > 0 {
		for _, a := range d.event {
			d.out.Headers = append(d.out.Headers, record.Header{Key: headerPrefix + a.Name, Value: []byte(a.Value)})
		}
		if d.media.text != "" {
			d.out.Headers = append(d.out.Headers, record.Header{Key: headerContentType, Value: []byte(d.media.text)})
		}
	}
}

// checkEvent tells whether the envelope is a whole event, or none at all.
func (d *decoder) checkEvent() error {
	if len(d.event) == 0 {
		return nil
	}
	for _, name := range required {
		if !d.event.has(name) {
			return fmt.Errorf("%s: is missing; %s makes the envelope an event, which needs %s", name, d.event[0].Name,
				strings.Join(required, ", "))
		}
	}
	return nil
}

// value finds the one value. A value that was forgotten must not delete a key from a compacted topic, so that a
// tombstone has to be asked for.
func (d *decoder) value() error {
	isJSON := d.media.json || d.media.text == ""
	if string(d.data) == "null" && (!isJSON || d.tombstone || d.base64 != nil) {
		d.data = nil
	}
	switch {
	case d.tombstone && (d.data != nil || d.base64 != nil):
		return fmt.Errorf("%s: is true beside a value; leave %s and %s out", attrTombstone, memberData, memberBase64)
	case d.tombstone:
		return nil
	case d.data != nil && d.base64 != nil:
		return fmt.Errorf("%s: stands beside %s", memberBase64, memberData)
	case d.base64 != nil:
		value, err := parseBase64(d.base64)
		if err != nil {
			return fmt.Errorf("%s: %w", memberBase64, err)
		}
		d.out.Value = value
	case d.data == nil:
		return fmt.Errorf("%s: is missing, and so is %s; to delete the key, say %s: true", memberData,
			memberBase64, attrTombstone)
	case d.media.foreign:
		return fmt.Errorf("%s: is in a charset that JSON has not, by %s; give its bytes as %s", memberData,
			attrDataType, memberBase64)
	case isJSON:
		d.out.Value = append([]byte{}, d.data...)
		if d.media.text == "" && len(d.event) > 0 {
			d.media.text = "application/json" // which its absence says
		}
	default:
		text, err := parseString(d.data)
		if err != nil {
			return fmt.Errorf("%s: %w; %s says that it is not JSON", memberData, err, attrDataType)
		}
		d.out.Value = []byte(text)
	}
	return nil
}
