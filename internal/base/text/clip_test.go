package text

import (
	"strings"
	"testing"
)

func TestClipKeepsWhatFitsAndCutsBetweenCharacters(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":                       {"", ""},
		"as long as may be":           {"12345678", "12345678"},
		"a byte longer":               {"123456789", "12345…"},
		"a character across the cut":  {"1234üabcd", "1234…"},
		"no UTF-8":                    {"a\xffb", "a\uFFFDb"},
		"no UTF-8, and longer for it": {"\xfe1\xff2\xfd", "\uFFFD1…"},
		"characters of four bytes":    {strings.Repeat("🎈", 3), "🎈…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clip(c.in, 8); got != c.want {
				t.Errorf("%q became %q, not %q", c.in, got, c.want)
			}
		})
	}
}
