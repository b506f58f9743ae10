package text

import (
	"strings"
	"unicode/utf8"
)

// Clip makes of s valid UTF-8 of at most limit bytes, cut between two characters and with "…" at the end where that is
// needed. Invalid UTF-8 becomes U+FFFD. limit has to leave room for the "…", which takes three bytes.
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
