package text

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Columns is how many columns of a terminal a text takes: a letter with its accents takes one, most signs of East Asia
// and emoji two, a sequence that sets a colour none.
func Columns(s string) int {
	n := 0
	each(s, func(_ string, width int, _ bool) { n += width })
	return n
}

// Cut shortens a text that takes more columns than these, never within a character, and marks the cut. The sequences
// that set colours all stay, so that none of them goes on behind the text. 0 columns and less do not cut.
func Cut(s string, columns int) string {
	if columns <= 0 || Columns(s) <= columns {
		return s
	}
	var b strings.Builder
	left, marked := columns-1, false // one is for the mark
	each(s, func(part string, width int, colour bool) {
		switch {
		case colour:
			b.WriteString(part)
		case marked:
		case width > left:
			b.WriteString("…")
			marked = true
		default:
			b.WriteString(part)
			left -= width
		}
	})
	return b.String()
}

// each calls visit with every character of a text as people see them, and every sequence that sets a colour.
func each(s string, visit func(part string, width int, colour bool)) {
	state := -1
	for s != "" {
		if end := colourSequence(s); end > 0 {
			visit(s[:end], 0, true)
			s, state = s[end:], -1
			continue
		}
		var part string
		var width int
		part, s, width, state = uniseg.FirstGraphemeClusterInString(s, state)
		visit(part, width, false)
	}
}

// colourSequence is the length of the sequence that sets a colour at the start of a text, 0 where there is none.
func colourSequence(s string) int {
	codes, found := strings.CutPrefix(s, "\x1b[")
	if !found {
		return 0
	}
	rest := strings.TrimLeft(codes, "0123456789;")
	if !strings.HasPrefix(rest, "m") {
		return 0
	}
	return len(s) - len(rest) + 1
}
