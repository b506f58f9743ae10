// Package redact takes secrets out of texts that others have written: a broker, a token endpoint, a collector or a NATS
// server that repeats in an error what it was sent would otherwise have it put into the log, the status, health, and
// errors to components. A type that cannot be printed does not help there, since the text comes from outside.
package redact

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"messaging-kafka/internal/text"
)

// Mark stands where a secret stood.
const Mark = "[redacted]"

const (
	// minLength is that of the shortest secret that is looked for within texts: each word has the single letters in it.
	minLength = 4
	// looseLength is from where on a secret is taken out wherever it stands. Shorter ones must stand alone, since they may
	// be parts of words that mean something else.
	looseLength = 8
	// maxLength bounds the secrets that are looked for in every form. Of longer ones, which are keys in lines, each line is.
	maxLength = 4 << 10
	prefix    = minLength
)

// Redactor knows secrets and takes them out of texts. The zero value knows none. Its methods may be called by many
// goroutines at once. A nil Redactor knows none either.
type Redactor struct {
	mu sync.RWMutex
	// values are the secrets themselves, forms what they look like in texts, by the first bytes; both with the number of
	// those who have added them. What a text costs does not depend on how many there are.
	values map[string]int
	forms  map[[prefix]byte]map[string]int
}

// Add adds secrets until the function that it returns is called. Empty ones are none.
func (r *Redactor) Add(secrets ...string) (remove func()) {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, formsOf(s)...)
	}
	r.count(secrets, forms, 1)
	return sync.OnceFunc(func() { r.count(secrets, forms, -1) })
}

func (r *Redactor) count(secrets, forms []string, by int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values, r.forms = make(map[string]int), make(map[[prefix]byte]map[string]int)
	}
	for _, s := range secrets {
		if s == "" {
			continue
		}
		if r.values[s] += by; r.values[s] == 0 {
			delete(r.values, s)
		}
	}
	for _, f := range forms {
		key := [prefix]byte([]byte(f[:prefix]))
		same := r.forms[key]
		if same == nil {
			same = make(map[string]int)
			r.forms[key] = same
		}
		if same[f] += by; same[f] == 0 {
			delete(same, f)
		}
		if len(same) == 0 {
			delete(r.forms, key)
		}
	}
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

// Secrets returns s without secrets.
func (r *Redactor) Secrets(s string) string {
	if strings.Contains(s, "eyJ") || strings.Contains(s, "earer") || strings.Contains(s, "EARER") {
		s = tokens.ReplaceAllString(s, Mark)
	}
	if r == nil || len(s) < minLength {
		return s
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.forms) == 0 {
		return s
	}
	var b strings.Builder
	done := 0
	for i := 0; i+prefix <= len(s); {
		same := r.forms[[prefix]byte([]byte(s[i:i+prefix]))]
		longest := 0
		for f := range same {
			if len(f) > longest && strings.HasPrefix(s[i:], f) && (len(f) >= looseLength || alone(s, i, i+len(f))) {
				longest = len(f)
			}
		}
		if longest == 0 {
			i++
			continue
		}
		b.WriteString(s[done:i])
		b.WriteString(Mark)
		i += longest
		done = i
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
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
func (r *Redactor) Text(s string) string {
	return text.Clip(OneLine(r.Secrets(s)), maxText)
}

// OneLine puts spaces and U+FFFD in the place of what does not belong on a line: line breaks, control characters, and those
// that change the direction of what follows.
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
