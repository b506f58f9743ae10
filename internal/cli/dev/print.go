package dev

import (
	"fmt"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// appendPrintable appends the first bytes of the value as they are where they are text of one line, else quoted: other
// programs may produce anything, and a terminal takes some of it for orders. It says what is left out.
func appendPrintable(b, value []byte, most int) []byte {
	shown := value
	if len(value) > most {
		shown = value[:most]
		for i := 1; i < utf8.UTFMax && !utf8.RuneStart(value[len(shown)]); i++ {
			shown = shown[:len(shown)-1]
		}
	}
	if printable(shown) {
		b = append(b, shown...)
	} else {
		b = strconv.AppendQuote(b, string(shown))
	}
	if len(shown) < len(value) {
		b = fmt.Appendf(b, "… (%d bytes)", len(value))
	}
	return b
}

// appendValue appends a record's value, which may be null, to a line: for somebody who types, its beginning.
func appendValue(b, value []byte, interactive bool) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	most := len(value)
	if interactive {
		most = maxShown
	}
	return appendPrintable(b, value, most)
}

func printable(text []byte) bool {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if (r == utf8.RuneError && size == 1) || (unicode.IsControl(r) && r != '\t') || unicode.Is(unicode.Bidi_Control, r) {
			return false
		}
		text = text[size:]
	}
	return true
}

// round leaves three digits or so, which is what one run tells.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}
