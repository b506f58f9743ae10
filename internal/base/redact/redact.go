package redact

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Mark stands where a secret stood.
const Mark = "[redacted]"

const (
	// minLength is that of the shortest secret that is looked for within texts: each word has the single letters in it.
	minLength = 4
	// looseLength is the length from which on a secret is taken out wherever it stands. Shorter ones must stand alone,
	// since they may be parts of words that mean something else.
	looseLength = 8
	// maxLength bounds the secrets that are looked for in every form. Of longer ones, which are keys in lines, each line
	// is.
	maxLength = 4 << 10
	prefix    = minLength
	// maxShown bounds what is looked through, and what is left of a text. Nothing shows as much.
	maxShown = 32 << 10
	// MaxLooked is how much of a text a [Redactor] looks at. Of a longer one it returns so little that nothing is left of
	// what stands at this length, so that a text may be cut to it before.
	MaxLooked = 2 * maxShown
)

// Redactor knows secrets and takes them out of texts. The zero value knows none. Its methods may be called by many
// goroutines at once. A nil Redactor knows none either.
type Redactor struct {
	mu sync.RWMutex
	// values are the secrets themselves, forms what they look like in texts, by the first bytes; both with the number of
	// those who have added them. A text costs the same however many there are.
	values map[string]int
	forms  forms
	// plain are the forms that are looked for in plain texts, digits those in the digits of these.
	plain, digits forms
}

// forms are texts by their first bytes, with the number of those who have added them.
type forms map[[prefix]byte]map[string]int

func (fs forms) count(texts []string, by int) {
	for _, f := range texts {
		key := [prefix]byte([]byte(f[:prefix]))
		same := fs[key]
		if same == nil {
			same = make(map[string]int)
			fs[key] = same
		}
		if same[f] += by; same[f] == 0 {
			delete(same, f)
		}
		if len(same) == 0 {
			delete(fs, key)
		}
	}
}

// longest is the length of the longest form that s begins with and fits, 0 where there is none.
func longest[T string | []byte](fs forms, s T, fits func(length int) bool) int {
	most := 0
	for f := range fs[[prefix]byte([]byte(s[:prefix]))] {
		if len(f) > most && len(f) <= len(s) && string(s[:len(f)]) == f && fits(len(f)) {
			most = len(f)
		}
	}
	return most
}

// Add adds secrets until the function that it returns is called. Empty ones are none.
func (r *Redactor) Add(secrets ...string) (remove func()) {
	var all, plain, digits []string
	for _, s := range secrets {
		all = append(all, formsOf(s)...)
		p, d := plainForms(s)
		plain, digits = append(plain, p...), append(digits, d...)
	}
	count := func(by int) {
		if r == nil {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.values == nil {
			r.values, r.forms, r.plain, r.digits = make(map[string]int), make(forms), make(forms), make(forms)
		}
		for _, s := range secrets {
			if s == "" {
				continue
			}
			if r.values[s] += by; r.values[s] == 0 {
				delete(r.values, s)
			}
		}
		r.forms.count(all, by)
		r.plain.count(plain, by)
		r.digits.count(digits, by)
	}
	count(1)
	return sync.OnceFunc(func() { count(-1) })
}

// Value returns s, or [Mark] where s as a whole is a secret, however short.
func (r *Redactor) Value(s string) string {
	if r == nil {
		return s
	}
	r.mu.RLock()
	_, secret := r.values[s]
	r.mu.RUnlock()
	if secret {
		return Mark
	}
	return r.Secrets(s)
}

// tokens are what is taken out of texts without being known: tokens are fetched while the provider runs.
var tokens = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{8,}=*`)

// Secrets returns s without secrets, and of one that is longer than 32 KiB the beginning.
func (r *Redactor) Secrets(s string) string {
	most := len(s)
	if most > maxShown {
		// A form that begins before the end also ends within the text that is looked at.
		most, s = maxShown, s[:min(most, MaxLooked)]
	}
	var found spans
	if strings.Contains(s, "eyJ") || strings.Contains(s, "earer") || strings.Contains(s, "EARER") {
		for _, at := range tokens.FindAllStringIndex(s, -1) {
			found = append(found, span{at[0], at[1]})
		}
	}
	return append(found, r.find(s)...).mark(s, most)
}

// find returns where secrets stand in s.
func (r *Redactor) find(s string) spans {
	if r == nil || len(s) < minLength {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.forms) == 0 {
		return nil
	}
	var found spans
	for i := 0; i+prefix <= len(s); {
		length := longest(r.forms, s[i:], func(length int) bool { return length >= looseLength || alone(s, i, i+length) })
		if length == 0 {
			i++
			continue
		}
		found = append(found, span{i, i + length})
		i += length
	}
	if len(r.plain) > 0 && len(s) >= looseLength {
		p := plainOf(s)
		found = append(found, p.find(r.plain)...)
		d := p.digits()
		found = append(found, d.find(r.digits)...)
	}
	return found
}

// Clip returns s without secrets, cut to limit bytes by [text.Clip]. Whoever cuts a text that may be told has to cut it
// by this: what is left of a secret that was cut is not known for one any more.
func (r *Redactor) Clip(s string, limit int) string { return text.Clip(r.Secrets(s), limit) }

// find returns where in the text forms stand.
func (p *plain) find(fs forms) spans {
	var found spans
	for i := 0; i+prefix <= len(p.text); {
		length := longest(fs, p.text[i:], func(int) bool { return true })
		if length == 0 {
			i++
			continue
		}
		found = append(found, span{p.from[i], p.to[i+length-1]})
		i += length
	}
	return found
}

type span struct{ from, to int }

type spans []span

// mark returns the first bytes of s, most of them, with [Mark] in the place of spans.
func (found spans) mark(s string, most int) string {
	if len(found) == 0 {
		return s[:most]
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	done := 0
	for _, f := range found {
		if f.from >= most {
			break
		}
		if f.from < done { // begins within the one before
			done = max(done, f.to)
			continue
		}
		b.WriteString(s[done:f.from])
		b.WriteString(Mark)
		done = f.to
	}
	b.WriteString(s[min(done, most):most])
	return b.String()
}

// alone tells whether what stands in s from one place to another is no part of a longer word.
func alone(s string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:from])
	after, _ := utf8.DecodeRuneInString(s[to:])
	word := func(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	return !word(before) && !word(after)
}

// maxText bounds a foreign text.
const maxText = 4 << 10

// Text makes a foreign text fit for an operator: without secrets, on one line, without characters that a terminal or a
// page would obey, and not longer than 4 KiB.
func (r *Redactor) Text(s string) string { return r.Line(s, maxText) }

// Line is [Redactor.Text] for a text of at most limit bytes.
func (r *Redactor) Line(s string, limit int) string { return text.Clip(OneLine(r.Secrets(s)), limit) }

// OneLine puts spaces and U+FFFD in the place of what does not belong on a line: line breaks, control characters, and
// those that change the direction of what follows.
func OneLine(s string) string {
	if !strings.ContainsFunc(s, unfit) {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case !unfit(c):
			return c
		case unicode.IsSpace(c):
			return ' '
		default:
			return utf8.RuneError
		}
	}, s)
}

func unfit(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || unicode.Is(unicode.Bidi_Control, c)
}

// Err returns an error that says what err says, fit for an operator, and is what err is.
func (r *Redactor) Err(err error) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	if fit := r.Text(said); fit != said {
		return &redactedError{fit, err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.err }
