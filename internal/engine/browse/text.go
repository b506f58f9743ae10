package browse

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// null is Kafka's null for people.
const null = "null"

// Show is a key, a value or a header's value for people, on one line: null, text in which nothing is left that a
// terminal obeys or that changes how it reads, or 0x and hexadecimal digits where it is no text or asHex is set. Of
// more than most bytes the rest is left out, and how many there are is said; 0 is no limit.
func Show(b []byte, asHex bool, most int) string {
	if b == nil {
		return null
	}
	cut, more := b, ""
	if most > 0 && len(b) > most {
		cut, more = b[:most], fmt.Sprintf("… (%d bytes)", len(b))
		for i := 0; i < utf8.UTFMax-1 && utf8.Valid(b) && !utf8.Valid(cut); i++ {
			cut = cut[:len(cut)-1]
		}
	}
	if asHex || !utf8.Valid(b) {
		return "0x" + hex.EncodeToString(cut) + more
	}
	return escape(string(cut)) + more
}

// escape puts escape sequences in the place of what is not printed.
func escape(s string) string {
	if !strings.ContainsFunc(s, unprinted) {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		if unprinted(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func unprinted(r rune) bool { return !unicode.IsPrint(r) }

// headerForms are the headers whose values are numbers, by name: big endian, in so many bytes.
var headerForms = map[string]struct {
	bytes  int
	millis bool
}{
	consume.HeaderOriginalPartition: {bytes: 4},
	consume.HeaderOriginalOffset:    {bytes: 8},
	consume.HeaderOriginalTimestamp: {bytes: 8, millis: true},
	consume.HeaderAttempts:          {bytes: 4},
}

// Number is the number that a header holds, where its name says that it holds one and it has that form.
func Number(h record.Header) (int64, bool) {
	form, ok := headerForms[h.Key]
	switch {
	case !ok || len(h.Value) != form.bytes:
		return 0, false
	case form.bytes == 4:
		return int64(int32(binary.BigEndian.Uint32(h.Value))), true
	default:
		return int64(binary.BigEndian.Uint64(h.Value)), true
	}
}

// ShowHeader is a header's value for people: as [Show] says it, or the number or time that it holds.
func ShowHeader(h record.Header, asHex bool, most int) string {
	n, ok := Number(h)
	switch {
	case !ok || asHex:
		return Show(h.Value, asHex, most)
	case headerForms[h.Key].millis:
		return ShowTime(time.UnixMilli(n))
	default:
		return strconv.FormatInt(n, 10)
	}
}

// ShowTime is the timestamp of a record, in UTC, "-" where it has none.
func ShowTime(t time.Time) string {
	if t.UnixMilli() < 0 || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Position is where a record is: partition/offset.
func Position(r *record.Record) string { return fmt.Sprintf("%d/%d", r.Partition, r.Offset) }

// Bytes is the JSON form of a key or value: null, {"json": …} for an object or a list, {"text": …}, or {"base64": …}
// for what is no text, {"hex": …} with Hex.
type Bytes struct {
	B   []byte
	Hex bool
	// Plain has JSON as text, too.
	Plain bool
}

// MarshalJSON implements [json.Marshaler].
func (b Bytes) MarshalJSON() ([]byte, error) {
	type form map[string]any
	trimmed := bytes.TrimSpace(b.B)
	switch {
	case b.B == nil:
		return []byte(null), nil
	case b.Hex:
		return json.Marshal(form{"hex": hex.EncodeToString(b.B)})
	case !b.Plain && len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') &&
		utf8.Valid(trimmed) && json.Valid(trimmed):
		return json.Marshal(form{"json": json.RawMessage(trimmed)})
	case utf8.Valid(b.B):
		return json.Marshal(form{"text": string(b.B)})
	default:
		return json.Marshal(form{"base64": b.B})
	}
}

// Line is the JSON form of a record.
type Line struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"`
	Time      string       `json:"time"`
	Key       Bytes        `json:"key"`
	Value     Bytes        `json:"value"`
	Headers   []LineHeader `json:"headers"`
}

// LineHeader is the JSON form of a header. Number is there where its name says that its bytes are one.
type LineHeader struct {
	Name   string `json:"name"`
	Value  Bytes  `json:"value"`
	Number *int64 `json:"number,omitempty"`
}

// NewLine makes the JSON form of a record.
func NewLine(r *record.Record, asHex bool) Line {
	line := Line{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UnixMilli(), Time: ShowTime(r.Timestamp),
		Key: Bytes{B: r.Key, Hex: asHex, Plain: true}, Value: Bytes{B: r.Value, Hex: asHex}, Headers: []LineHeader{},
	}
	for _, h := range r.Headers {
		line.Headers = append(line.Headers, NewLineHeader(h, asHex))
	}
	return line
}

// NewLineHeader makes the JSON form of a header.
func NewLineHeader(h record.Header, asHex bool) LineHeader {
	header := LineHeader{Name: h.Key, Value: Bytes{B: h.Value, Hex: asHex, Plain: true}}
	if n, ok := Number(h); ok {
		header.Number = &n
	}
	return header
}
