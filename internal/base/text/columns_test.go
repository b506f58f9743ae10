package text

import (
	"strings"
	"testing"
)

func TestTextsAreMeasuredInColumns(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "orders": 6, "Größe": 5, "é": 1, "注文": 4, "orders → 注文": 13, "–·…": 3,
		"👍": 2, "👩‍💻": 2, "🇨🇭": 2, "\x1b[31;1mbad\x1b[0m": 3, "\x1b[": 1, "한국어": 6,
	} {
		if got := Columns(s); got != want {
			t.Errorf("%q takes %d columns, want %d", s, got, want)
		}
	}
}

func TestCutKeepsWhatFitsInColumns(t *testing.T) {
	for _, test := range []struct {
		s       string
		columns int
		want    string
	}{
		{"orders", 6, "orders"}, {"orders", 5, "orde…"}, {"orders", 0, "orders"}, {"orders", 1, "…"},
		{"注文注文", 8, "注文注文"}, {"注文注文", 7, "注文注…"}, {"注文注文", 6, "注文…"}, {"注文", 2, "…"},
		{"éé", 1, "…"}, {"👩‍💻👩‍💻x", 4, "👩‍💻…"},
		{"\x1b[31mnot healthy\x1b[0m", 5, "\x1b[31mnot …\x1b[0m"},
	} {
		got := Cut(test.s, test.columns)
		if got != test.want {
			t.Errorf("%q in %d columns is %q, want %q", test.s, test.columns, got, test.want)
		}
		if n := Columns(got); test.columns > 0 && n > test.columns {
			t.Errorf("%q takes %d columns of %d", got, n, test.columns)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("orders → 注文 \x1b[31mbad\x1b[0m 👩‍💻", 9)
	f.Fuzz(func(t *testing.T, s string, columns int) {
		columns %= 200
		got := Cut(s, columns)
		if columns <= 0 {
			if got != s {
				t.Errorf("it is cut to %q", got)
			}
			return
		}
		// What stands together again after a cut may be another character, in no more columns than its parts.
		if n := Columns(got); n > columns {
			t.Errorf("%q takes %d columns of %d", got, n, columns)
		}
		if strings.Count(got, "\x1b[") > strings.Count(s, "\x1b[") {
			t.Errorf("%q has more colours than %q", got, s)
		}
	})
}
