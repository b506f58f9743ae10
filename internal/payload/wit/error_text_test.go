package wit

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestErrorTextIsShortAndUTF8(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a plain text stays", "producing to orders: timed out", "producing to orders: timed out"},
		{"bad bytes are replaced", "a\xffb", "a\uFFFDb"},
		{"the longest text stays", strings.Repeat("x", maxErrorText), strings.Repeat("x", maxErrorText)},
		{"a longer one is cut", strings.Repeat("x", maxErrorText+1), strings.Repeat("x", maxErrorText-3) + "…"},
		{"no character is cut apart", strings.Repeat("€", maxErrorText), strings.Repeat("€", (maxErrorText-3)/3) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ErrorText(c.in); got != c.want {
				t.Errorf("got %d bytes %.40q…, want %d bytes", len(got), got, len(c.want))
			}
		})
	}
}

// FuzzErrorText: whatever the text, a guest gets valid UTF-8 of bounded length.
func FuzzErrorText(f *testing.F) {
	f.Add("boom", 1)
	f.Add("€\xff", 3000)
	f.Fuzz(func(t *testing.T, s string, times int) {
		got := ErrorText(strings.Repeat(s, max(0, min(times, 5000/(len(s)+1)))))
		if len(got) > maxErrorText || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	})
}
