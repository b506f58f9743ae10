package redact

import (
	"regexp"
	"strings"
)

// cutTokens are tokens that are not known, of which nobody knows how much is missing.
var cutTokens = regexp.MustCompile(`(?:eyJ[A-Za-z0-9_.-]*|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]*)$`)

// CutOff returns s, a text that broke off where it came from, with "…" behind it and without what may be the beginning
// of a secret at its end. Whole ones are still in it.
//
// Whoever can have a text break off where he likes, and sees what is left, can find out one byte of a secret after the
// other. So it is for secrets alone that the one whose text it is knows anyhow.
func (r *Redactor) CutOff(s string) string {
	end := len(s)
	if at := cutTokens.FindStringIndex(s[max(0, end-maxShown):]); at != nil {
		end = max(0, end-maxShown) + at[0]
	}
	if r != nil {
		end = min(end, r.begun(s))
	}
	return s[:end] + "…"
}

// begun returns where a secret begins that goes on behind the end of s; the length of s for none.
func (r *Redactor) begun(s string) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	before := max(0, len(s)-maxShown)
	last := s[before:]
	first := len(last)
	look := func(last string) {
		if from := unfinished(r.forms, last, minLength); from < len(last) {
			first = min(first, from)
		}
		p := plainOf(last)
		for _, one := range []struct {
			in    plain
			forms forms
			least int
		}{{p, r.plain, minLength}, {p.digits(), r.digits, looseLength}} {
			if from := unfinished(one.forms, one.in.text, one.least); from < len(one.in.text) {
				first = min(first, one.in.from[from])
			}
		}
	}
	look(last)
	// An escape may be cut as well, and one that is itself escaped.
	for i := max(0, len(last)-maxCutEscape); i < len(last); i++ {
		if strings.IndexByte(`%\&`, last[i]) >= 0 {
			look(last[:i])
		}
	}
	return before + first
}

// maxCutEscape is more than escapes have that are escaped themselves.
const maxCutEscape = 32

// unfinished returns where in s, least bytes before its end or more, a form begins that goes on behind the end; the
// length of s for none.
func unfinished[T string | []byte](fs forms, s T, least int) int {
	for i := 0; i+least <= len(s); i++ {
		for f := range fs[[prefix]byte([]byte(s[i:i+prefix]))] {
			if left := len(s) - i; left < len(f) && f[:left] == string(s[i:]) {
				return i
			}
		}
	}
	return len(s)
}
