package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// formsOf are the ways in which a secret may stand in a text, each at least [minLength] bytes long.
func formsOf(secret string) []string {
	if len(secret) > maxLength || strings.ContainsAny(secret, "\r\n") {
		return formsOfLines(secret)
	}
	if len(secret) < minLength {
		return nil
	}
	forms := []string{secret}
	add := func(f string) {
		if len(f) >= minLength && (f == secret || len(f) >= looseLength || strings.Contains(f, secret)) &&
			!slices.Contains(forms, f) {
			forms = append(forms, f)
		}
	}
	add(strings.TrimSpace(secret))
	add(url.QueryEscape(secret))
	add(url.PathEscape(secret))
	add(lowerEscapes(url.QueryEscape(secret)))
	add(lowerEscapes(url.PathEscape(secret)))
	add(everyEscaped(secret))
	for _, quoted := range []string{strconv.Quote(secret), strconv.QuoteToASCII(secret), inJSON(secret, true),
		inJSON(secret, false)} {
		add(quoted[1 : len(quoted)-1])
	}
	add(strings.ReplaceAll(secret, "/", `\/`)) // as PHP and others write JSON
	add(hex.EncodeToString([]byte(secret)))
	add(strings.ToUpper(hex.EncodeToString([]byte(secret))))
	add(strings.Trim(fmt.Sprint([]byte(secret)), "[]"))
	for _, f := range inBase64(secret) {
		add(f)
	}
	return forms
}

// formsOfLines are those of a text in lines, such as a key: of each line that is long enough to be told apart, and of
// the whole as it stands in JSON or in quotes, which has no lines any more.
func formsOfLines(secret string) []string {
	var forms []string
	for line := range strings.Lines(secret) {
		line = strings.TrimSpace(line)
		if len(line) >= 2*looseLength && !strings.HasPrefix(line, "-----") {
			forms = append(forms, line[:min(len(line), maxLength)])
		}
	}
	if len(secret) <= maxLength {
		forms = append(forms, inBase64(secret)...)
	}
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < looseLength })
}

// inBase64 are the parts of base64 texts by which a secret shows, wherever in what was encoded it stood: alone, or
// behind a user and a colon. The first and last characters depend on what is around it.
func inBase64(secret string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, encoding.EncodeToString([]byte(secret)))
		for before := range 3 {
			coded := encoding.EncodeToString([]byte("\x00\x00"[:before] + secret))
			from := []int{0, 2, 3}[before]
			to := len(coded)
			if (before+len(secret))%3 != 0 {
				to-- // the last character has bits of what follows
			}
			if to-from >= looseLength {
				forms = append(forms, coded[from:to])
			}
		}
	}
	return forms
}

func inJSON(s string, html bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(html)
	if err := encoder.Encode(s); err != nil {
		panic(err) // a string cannot fail
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// everyEscaped is the form of those who escape all bytes but letters and digits.
func everyEscaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}
