package payload

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The headers of the CloudEvents HTTP protocol binding, in the form that net/http has them in.
const (
	httpPrefix      = "Ce-"
	httpSpec        = httpPrefix + "Specversion"
	httpContentType = "Content-Type"
)

// AddHTTP adds an event's headers in binary mode (CloudEvents HTTP protocol binding, 3.1), and returns how many bytes
// they take.
func (e *Event) AddHTTP(h http.Header) (size int) {
	values := make([]string, 0, 1+len(e.Attributes))
	add := func(name, value string) {
		at := len(values)
		values = append(values, value)
		h[name] = values[at : at+1 : at+1]
		size += len(name) + len(": \r\n") + len(value)
	}
	for _, a := range e.Attributes {
		add(httpName(a.Name), percentEncode(a.Value))
	}
	if e.ContentType != "" {
		add(httpContentType, e.ContentType)
	}
	return size
}

// httpNames are the names of the headers of attributes that most events have.
var httpNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		attrSpec, attrID, attrSource, attrType, attrTime, attrSubject, attrDataSchema, attrTopic, attrPartition,
		attrOffset, attrAttempt, attrTimestamp, attrKey, attrKeyBase64, attrHeaders, attrTombstone,
	} {
		names[name] = httpPrefix + strings.ToUpper(name[:1]) + name[1:]
	}
	return names
}()

func httpName(attribute string) string {
	if name, known := httpNames[attribute]; known {
		return name
	}
	return httpPrefix + strings.ToUpper(attribute[:1]) + attribute[1:]
}

// OutgoingsOfHTTP reads records to publish from the events that the body and headers of a request or an answer are: in
// binary, structured or batched mode. events tells that they are events at all, readable or not. Records share memory
// with the body.
func OutgoingsOfHTTP(h http.Header, body []byte) (list []record.Outgoing, events bool, err error) {
	contentType := h.Get(httpContentType)
	kind, _, _ := mime.ParseMediaType(contentType)
	var out record.Outgoing
	switch {
	case kind == EventsType:
		list, err = DecodeEvents(body)
		return list, true, err
	case kind == EventType:
		out, err = Decode(body)
	case IsEventType(kind):
		return nil, true, &formatError{kind}
	case len(h[httpSpec]) > 0:
		e := eventOfHTTP(h, contentType, body)
		out, err = e.Outgoing()
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	return []record.Outgoing{out}, true, nil
}

type formatError struct{ kind string }

func (e *formatError) Error() string {
	return "the format " + e.kind + " of events is not known here: " + EventType + " is"
}

// ContentTypeOf is the content type of a request or an answer that is no event, as a record has it.
func ContentTypeOf(h http.Header) []record.Header {
	contentType := h.Get(httpContentType)
	if _, err := parseMedia(contentType); err != nil {
		return nil
	}
	return []record.Header{{Key: headerContentType, Value: []byte(contentType)}}
}

// eventOfHTTP collects the parts of an event in binary mode, its attributes by their names: HTTP keeps no order of
// different headers.
func eventOfHTTP(h http.Header, contentType string, body []byte) Event {
	e := Event{ContentType: contentType, Data: body}
	for name, values := range h {
		if attribute, is := strings.CutPrefix(name, httpPrefix); is {
			for _, value := range values {
				e.Attributes = append(e.Attributes, Attribute{strings.ToLower(attribute), percentDecode(value)})
			}
		}
	}
	slices.SortFunc(e.Attributes, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	return e
}

const upperHex = "0123456789ABCDEF"

// percentEncode writes a value as a header can have it: all but printable ASCII, and of that space, quote and percent
// sign, as the bytes of UTF-8 (CloudEvents HTTP protocol binding, 3.1.3.2).
func percentEncode(value string) string {
	n := 0
	for i := range len(value) {
		if escaped(value[i]) {
			n++
		}
	}
	if n == 0 {
		return value
	}
	b := make([]byte, 0, len(value)+2*n)
	for i := range len(value) {
		if c := value[i]; escaped(c) {
			b = append(b, '%', upperHex[c>>4], upperHex[c&0xf])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

func escaped(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }

// percentDecode reads what percentEncode writes, and a quoted string around it. A percent sign that begins no byte
// stands for itself.
func percentDecode(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = unquote(value[1 : len(value)-1])
	}
	if !strings.Contains(value, "%") {
		return value
	}
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			high, low := hexDigit(value[i+1]), hexDigit(value[i+2])
			if high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 2
				continue
			}
		}
		b = append(b, value[i])
	}
	return string(b)
}

func hexDigit(c byte) int {
	if c >= 'A' && c <= 'F' {
		c |= 0x20
	}
	return strings.IndexByte(hexDigits, c)
}

// unquote takes the backslashes out of the inside of a quoted string.
func unquote(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		b = append(b, value[i])
	}
	return string(b)
}
