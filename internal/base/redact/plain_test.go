package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
)

// eachByte writes every byte of a secret by a format of its own, with something in between.
func eachByte(secret, format, between string) string {
	parts := make([]string, len(secret))
	for i := range len(secret) {
		parts[i] = fmt.Sprintf(format, secret[i])
	}
	return strings.Join(parts, between)
}

func eachRune(secret, format string) string {
	var b strings.Builder
	for _, c := range secret {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func TestSecretsAreTakenOutHoweverTheyAreDisguised(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"correct-horse-battery", `Tr0ub4dor&3,=;"<\ ü€+%zebra`, "a b c d e f g h",
		"%41%42%43%44%45%46%47%48", `C:\new\table`, "key_with/slash+es=="} {
		half := len(secret) / 2
		for half > 0 && secret[half]&0xc0 == 0x80 {
			half--
		}
		with := func(between string) string { return secret[:half] + between + secret[half:] }
		in64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
		digits := hex.EncodeToString([]byte(secret))
		for how, said := range map[string]string{
			"as a client's, escaped, in base64":   "Basic " + in64("client:"+url.QueryEscape(secret)),
			"in a path, in base64":                in64("client:" + url.PathEscape(secret) + "/"),
			"in JSON, in base64":                  in64(`{"secret":"` + strings.Trim(inJSON(secret, true), `"`) + `"}`),
			"in base64 of base64":                 in64(in64(secret)),
			"in base64, escaped":                  url.QueryEscape(in64("ab" + secret + "c")),
			"in base64, in lines":                 in64("user:" + secret)[:9] + "\r\n " + in64("user:" + secret)[9:],
			"every byte escaped":                  eachByte(secret, "%%%02X", ""),
			"every byte escaped in small letters": eachByte(secret, "%%%02x", ""),
			"escaped twice":                       url.QueryEscape(url.QueryEscape(secret)),
			"every byte in quotes":                eachByte(secret, `\x%02x`, ""),
			"every byte in large hexadecimal":     eachByte(secret, `\X%02X`, ""),
			"every byte in octal":                 eachByte(secret, `\%03o`, ""),
			"every letter in JSON":                eachRune(secret, `\u%04x`),
			"JSON in JSON":                        strings.Trim(inJSON(strings.Trim(inJSON(secret, true), `"`), false), `"`),
			"in HTML":                             html.EscapeString(secret),
			"every letter in HTML":                eachRune(secret, "&#%d;"),
			"every letter in HTML by hexadecimal": eachRune(secret, "&#x%x;"),
			"in hexadecimal with colons":          eachByte(secret, "%02x", ":"),
			"in hexadecimal with spaces":          eachByte(secret, "%02X", " "),
			"in Go's hexadecimal":                 fmt.Sprintf("%#v", []byte(secret)),
			"in mixed hexadecimal":                digits[:6] + strings.ToUpper(digits[6:]),
			"as numbers with commas":              eachByte(secret, "%d", ","),
			"in lines":                            with("\n"),
			"in lines of Windows":                 with("\r\n  "),
			"with a tab":                          with("\t"),
			"with a space":                        with(" "),
			"with a zero byte":                    with("\x00"),
			"with an escape":                      with("\x1b"),
			"with a byte that is no UTF-8":        with("\xff"),
			"with a space without width":          with("\u200b"),
			"with a mark of byte order":           with("\ufeff"),
			"with another direction":              with("\u202e"),
			"in large letters":                    strings.ToUpper(secret),
			"in small letters":                    strings.ToLower(secret),
		} {
			var r Redactor
			r.Add(secret)
			got := r.Text("before <" + said + "> after")
			around := 0
			if strings.Contains(how, "base64") || strings.Contains(how, "Go's") {
				around = len("Basic " + in64(`{"secret":""}`)) // what stood beside it
			}
			if !strings.Contains(got, Mark) || len(got) > len("before <> after")+len(Mark)+around {
				t.Errorf("%q %s: %q is let through as %q", secret, how, said, got)
			}
			if !strings.HasPrefix(got, "before <") || !strings.HasSuffix(got, "> after") {
				t.Errorf("%q %s: too much is gone: %q", secret, how, got)
			}
		}
	}
}

func TestLongTextsAreCutWithoutCuttingSecrets(t *testing.T) {
	t.Parallel()
	var r Redactor
	const secret = "correct-horse-battery"
	r.Add(secret)
	hidden := base64.StdEncoding.EncodeToString([]byte(secret))
	for _, before := range []int{0, maxShown - 5, maxShown, 2*maxShown - 5, 2 * maxShown, 1 << 20} {
		for _, echo := range []string{secret, hidden, strings.Repeat(hidden, 10_000)} {
			got := r.Secrets(strings.Repeat("x", before) + echo + strings.Repeat("y", 1<<20))
			if len(got) > maxShown+len(Mark) || strings.Contains(got, echo[:5]) {
				t.Errorf("behind %d bytes: %d bytes, %.100q", before, len(got), got)
			}
		}
	}
}

func TestTextsWithoutSecretsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var r Redactor
	r.Add("correct-horse-battery", "12345678")
	for _, said := range []string{
		`the broker says "no" \ 100% & more; %zz \u12 \x4 &nope; &#; \uD83D\u0041 \777 %`,
		"correct horses need a battery", "1234567 and 87654321", "2026-11-28T18:50:33.781Z offset 123456 7", "", "\\",
		"%", "&", "é\xff€",
	} {
		if got := r.Secrets(said); got != said {
			t.Errorf("%q became %q", said, got)
		}
	}
}
