package payload

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The members of a header.
const (
	headerKey       = "key"
	headerKeyBase64 = "keybase64"
	headerValue     = "value"
	headerBase64    = "base64"
)

// appendHeaders appends the JSON list of headers:
//
//	[{"key":"a","value":"text"},{"key":"a","value":null},{"key":"b","base64":"/w=="}]
func appendHeaders(b []byte, headers []record.Header) []byte {
	b = append(b, '[')
	for i, h := range headers {
		if i > 0 {
			b = append(b, ',')
		}
		w := writer{}
		if utf8.ValidString(h.Key) {
			w.text(headerKey, h.Key)
		} else {
			w.base64(headerKeyBase64, []byte(h.Key))
		}
		switch {
		case h.Value == nil:
			w.raw(headerValue, "null")
		case utf8.Valid(h.Value):
			w.text(headerValue, string(h.Value))
		default:
			w.base64(headerBase64, h.Value)
		}
		b = append(append(b, w.b...), '}')
	}
	return append(b, ']')
}

// EncodeHeaders writes headers as the JSON list that an envelope has of them.
func EncodeHeaders(headers []record.Header) string { return string(appendHeaders(nil, headers)) }

// DecodeHeaders reads what [EncodeHeaders] writes.
func DecodeHeaders(text string) ([]record.Header, error) { return parseHeaders(text) }

// parseHeaders reads what [appendHeaders] writes, one header after the other: memory grows with those that are well.
// Its errors count headers from 0.
func parseHeaders(text string) ([]record.Header, error) {
	noList := errors.New("is not a JSON list in a string")
	if !json.Valid([]byte(text)) {
		return nil, noList
	}
	list := json.NewDecoder(strings.NewReader(text))
	if begins, err := list.Token(); err != nil || begins != json.Delim('[') {
		return nil, noList
	}
	var headers []record.Header
	for i := 0; list.More(); i++ {
		var one json.RawMessage
		if err := list.Decode(&one); err != nil {
			return nil, noList
		}
		h, err := parseHeader(one)
		if err != nil {
			return nil, fmt.Errorf("header %d: %w", i, err)
		}
		headers = append(headers, h)
	}
	return headers, nil
}

func parseHeader(raw json.RawMessage) (record.Header, error) {
	list, err := parseMembers(raw)
	if err != nil {
		return record.Header{}, err
	}
	var h record.Header
	keys, values := 0, 0
	for _, m := range list {
		switch m.name {
		case headerKey:
			h.Key, err = parseString(m.raw)
			keys++
		case headerKeyBase64:
			var key []byte
			key, err = parseBase64(m.raw)
			h.Key = string(key)
			keys++
		case headerValue:
			values++
			if m.isNull() {
				break
			}
			var text string
			text, err = parseString(m.raw)
			h.Value = []byte(text)
		case headerBase64:
			h.Value, err = parseBase64(m.raw)
			values++
		default:
			err = fmt.Errorf("is not known: a header has %s or %s, and %s or %s", headerKey, headerKeyBase64,
				headerValue, headerBase64)
		}
		if err != nil {
			return record.Header{}, fmt.Errorf("%s: %w", shown(m.name), err)
		}
	}
	switch {
	case keys != 1:
		return record.Header{}, fmt.Errorf("has not exactly one of %s and %s", headerKey, headerKeyBase64)
	case values != 1:
		return record.Header{}, fmt.Errorf("has not exactly one of %s (null for none) and %s", headerValue, headerBase64)
	}
	return h, nil
}

// parseBase64 reads base64 with padding, as RFC 4648, section 4, has it. The result is never nil without an error.
func parseBase64(raw json.RawMessage) ([]byte, error) {
	text, err := parseString(raw)
	if err != nil {
		return nil, err
	}
	value, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("is not base64 with padding (RFC 4648, section 4)")
	}
	return value, nil
}
