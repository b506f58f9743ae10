package text

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Whole makes of s valid UTF-8, and of one with more than limit bytes a note of its length. A text of somebody else may
// hold a secret, and where nobody is to be asked for secrets it cannot be cut: whoever takes them out later would not
// know half of one. Invalid UTF-8 becomes U+FFFD.
func Whole(s string, limit int) string {
	if len(s) > limit {
		return fmt.Sprintf("(%d bytes, too many to be shown)", len(s))
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Clip makes of s valid UTF-8 of at most limit bytes, cut between two characters and with "…" at the end where that is
// needed. Invalid UTF-8 becomes U+FFFD. limit has to leave room for the "…", which takes three bytes.
//
// A text that may hold a secret is cut by redact.Redactor's Clip, or not at all, see [Whole].
func Clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const more = "…"
	cut := limit - len(more)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + more
}
