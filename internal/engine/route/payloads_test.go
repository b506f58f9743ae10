package route

import (
	"strings"
	"testing"
)

func TestLoggedPayloadsAreCut(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"null":                   {nil, "(null)"},
		"empty":                  {[]byte{}, ""},
		"text":                   {[]byte("día"), "día"},
		"long text":              {[]byte(strings.Repeat("x", 2000)), strings.Repeat("x", 1024) + "…"},
		"a cut in a character":   {[]byte(strings.Repeat("x", 1023) + "é and more"), strings.Repeat("x", 1023) + "…"},
		"what is no text":        {[]byte{0xff, 0}, "0xff00"},
		"long what is no text":   {[]byte(strings.Repeat("\xff", 600)), "0x" + strings.Repeat("ff", 512) + "…"},
		"exactly as much as may": {[]byte(strings.Repeat("x", 1024)), strings.Repeat("x", 1024)},
	} {
		if got := payloadText(c.in).LogValue().String(); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
