package redact

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How a secret may be written has no end: escaped in part or as a whole, twice, broken into lines, in other letters. So
// texts and secrets are both brought into one plain form, in which one is looked for in the other: without escapes,
// spaces and control characters, in small letters, and with one alphabet of base64.

// maxLayers bounds how often an escape may itself be escaped.
const maxLayers = 4

// plain is a text in its plain form, with the place in the text that each byte comes from.
type plain struct {
	text     []byte
	from, to []int
}

func (p *plain) add(text string, from, to int) {
	for i := range len(text) {
		p.text, p.from, p.to = append(p.text, text[i]), append(p.from, from), append(p.to, to)
	}
}

// room is an empty text with room for n bytes.
func room(n int) plain { return plain{make([]byte, 0, n), make([]int, 0, n), make([]int, 0, n)} }

func plainOf(s string) plain {
	p := plain{text: []byte(s), from: make([]int, len(s)), to: make([]int, len(s))}
	for i := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		for j := range size {
			p.from[i+j], p.to[i+j] = i, i+size
		}
	}
	for range maxLayers {
		if !p.unescape() {
			break
		}
	}
	p.fold()
	return p
}

// unescape takes away one layer of escapes and tells whether there was one.
func (p *plain) unescape() bool {
	s := string(p.text)
	if !strings.ContainsAny(s, `%\&`) {
		return false
	}
	out := room(len(s))
	found := false
	for i := 0; i < len(s); {
		text, size := unescaped(s[i:])
		if size == 0 {
			out.add(s[i:i+1], p.from[i], p.to[i])
			i++
			continue
		}
		out.add(text, p.from[i], p.to[i+size-1])
		i += size
		found = true
	}
	if found {
		*p = out
	}
	return found
}

// unescaped returns what the escape stands for that s begins with, and its length, 0 where it begins with none: those
// of URLs, of JSON and quoted texts, and of HTML.
func unescaped(s string) (string, int) {
	switch {
	case len(s) < 2:
	case s[0] == '%' && len(s) >= 3:
		if b, err := hex.DecodeString(s[1:3]); err == nil {
			return string(b), 3
		}
	case s[0] == '\\' && (s[1] == 'u' || s[1] == 'U' || s[1] == 'x' || s[1] == 'X'):
		digits := 4
		switch {
		case s[1] == 'x' || s[1] == 'X':
			digits = 2
		case s[1] == 'U' && len(s) >= 10 && strings.HasPrefix(s[2:], "000"):
			digits = 8
		}
		if len(s) < 2+digits {
			return "", 0
		}
		n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
		switch {
		case err != nil:
			return "", 0
		case digits == 2:
			return string([]byte{byte(n)}), 4
		}
		if size := 2 + digits; n >= 0xd800 && n < 0xdc00 && len(s) >= size+6 && s[size] == '\\' &&
			(s[size+1] == 'u' || s[size+1] == 'U') {
			if low, err := strconv.ParseUint(s[size+2:size+6], 16, 32); err == nil && low >= 0xdc00 && low < 0xe000 {
				return string(rune((n-0xd800)<<10|(low-0xdc00)) + 0x10000), size + 6
			}
		}
		return string(rune(n)), 2 + digits
	case s[0] == '\\' && len(s) >= 4 && isOctal(s[1:4]):
		n, _ := strconv.ParseUint(s[1:4], 8, 8) // three digits below 0400
		return string([]byte{byte(n)}), 4
	case s[0] == '\\':
		// Large letters are none, but a secret with a backslash in it may be written in them.
		if i := strings.IndexByte(`"'\/nrtbfav`, strings.ToLower(s[1:2])[0]); i >= 0 {
			return "\"'\\/\n\r\t\b\f\a\v"[i : i+1], 2
		}
	case s[0] == '&':
		if end := strings.IndexByte(s[:min(len(s), 12)], ';'); end > 0 {
			if text := html.UnescapeString(s[:end+1]); text != s[:end+1] {
				return text, end + 1
			}
		}
	}
	return "", 0
}

func isOctal(s string) bool {
	return '0' <= s[0] && s[0] <= '3' && '0' <= s[1] && s[1] <= '7' && '0' <= s[2] && s[2] <= '7'
}

// fold leaves away what nobody sees and makes one letter of those that mean the same.
func (p *plain) fold() {
	s := string(p.text)
	out := room(len(s))
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError, unicode.IsSpace(c), unicode.IsControl(c), unicode.Is(unicode.Cf, c):
		case c == '-':
			out.add("+", p.from[i], p.to[i])
		case c == '_':
			out.add("/", p.from[i], p.to[i])
		default:
			out.add(string(unicode.ToLower(c)), p.from[i], p.to[i+size-1])
		}
		i += size
	}
	*p = out
}

// digits are the hexadecimal digits of a plain text, without what separates bytes.
func (p *plain) digits() plain {
	var out plain
	for i := 0; i < len(p.text); i++ {
		c := p.text[i]
		if c == '0' && i+1 < len(p.text) && p.text[i+1] == 'x' {
			i++
			continue
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'f' {
			out.add(string(c), p.from[i], p.to[i])
		}
	}
	return out
}

// plainForms are what a secret looks like in plain texts, and digitForms in the digits of these.
func plainForms(secret string) (plainForms, digitForms []string) {
	if len(secret) > maxLength || len(secret) < looseLength {
		return nil, nil
	}
	add := func(to *[]string, text string) {
		if p := plainOf(text); len(p.text) >= looseLength && !slices.Contains(*to, string(p.text)) {
			*to = append(*to, string(p.text))
		}
	}
	if !strings.ContainsAny(strings.TrimSpace(secret), "\r\n") {
		add(&plainForms, secret)
		add(&plainForms, strings.ReplaceAll(secret, " ", "+"))
	}
	// Whoever sends a secret escaped in base64, as RFC 6749 has it for clients, may get that back.
	var variants []string
	for _, text := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret),
		lowerEscapes(url.QueryEscape(secret)), everyEscaped(secret),
		strings.Trim(inJSON(secret, true), `"`), strings.Trim(inJSON(secret, false), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret))} {
		if !slices.Contains(variants, text) {
			variants = append(variants, text)
		}
	}
	for _, text := range variants {
		for _, form := range inBase64(text) {
			add(&plainForms, form)
		}
	}
	var decimal strings.Builder
	for _, b := range []byte(secret) {
		decimal.WriteString(strconv.Itoa(int(b)))
	}
	return plainForms, []string{hex.EncodeToString([]byte(secret)), decimal.String()}
}
