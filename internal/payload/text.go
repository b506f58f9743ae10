package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// isAttributeRune tells whether a String of CloudEvents may hold r: no control characters and no code points that
// Unicode says are no characters.
func isAttributeRune(r rune) bool {
	return r > 0x1f && (r < 0x7f || r > 0x9f) && (r < 0xfdd0 || r > 0xfdef) && r&0xfffe != 0xfffe
}

// isAttributeText tells whether text can be the value of an attribute as it is.
func isAttributeText[T string | []byte](text T) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if !isAttributeRune(rune(c)) {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
		if r == utf8.RuneError && size == 1 || !isAttributeRune(r) {
			return false
		}
		i += size
	}
	return true
}

const hexDigits = "0123456789abcdef"

// AppendString appends valid UTF-8 as a JSON string.
func AppendString[T string | []byte](b []byte, text T) []byte { return appendString(b, text) }

// appendString appends valid UTF-8 as a JSON string. Characters that a String of CloudEvents may not hold are escaped,
// so that the result can itself be put into one.
func appendString[T string | []byte](b []byte, text T) []byte {
	b = append(b, '"')
	plain := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		size, escape := 1, true
		r := rune(c)
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
			escape = !isAttributeRune(r)
		}
		if escape {
			b = appendEscape(append(b, text[plain:i]...), r)
			plain = i + size
		}
		i += size
	}
	return append(append(b, text[plain:]...), '"')
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	if high, low := utf16.EncodeRune(r); r > 0xffff {
		return appendUnit(appendUnit(b, high), low)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, unit rune) []byte {
	return append(b, '\\', 'u', hexDigits[unit>>12&0xf], hexDigits[unit>>8&0xf], hexDigits[unit>>4&0xf],
		hexDigits[unit&0xf])
}

var (
	errNoString  = errors.New("is not a string")
	errSurrogate = errors.New(`has half a surrogate pair (\ud800 to \udfff), which no UTF-8 can hold`)
)

// parseString reads a JSON string. encoding/json would put U+FFFD for half a surrogate pair and change the text unseen.
func parseString(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", errNoString
	}
	if hasHalfSurrogate(raw) {
		return "", errSurrogate
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", err
	}
	return text, nil
}

// hasHalfSurrogate looks at the escapes of a well-formed JSON string.
func hasHalfSurrogate(raw []byte) bool {
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return false
		}
		raw = raw[at:]
		unit, is := escapedUnit(raw)
		switch {
		case !is:
			raw = raw[2:]
		case !utf16.IsSurrogate(unit):
			raw = raw[6:]
		default:
			low, is := escapedUnit(raw[6:])
			if !is || utf16.DecodeRune(unit, low) == utf8.RuneError {
				return true
			}
			raw = raw[12:]
		}
	}
}

func escapedUnit(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	var unit rune
	for _, c := range raw[2:6] {
		digit := strings.IndexByte(hexDigits, c|0x20)
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}
