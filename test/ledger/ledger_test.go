package ledger

import (
	"strings"
	"testing"
)

func TestNamesAreReadAgain(t *testing.T) {
	for _, id := range []ID{{0, 1}, {7, 1234}} {
		if got, err := ParseID(id.String()); err != nil || got != id {
			t.Errorf("%v is read as %v (%v)", id, got, err)
		}
	}
	for _, place := range []Place{{0, 0}, {11, 1 << 40}} {
		if got, err := ParsePlace(place.String()); err != nil || got != place {
			t.Errorf("%v is read as %v (%v)", place, got, err)
		}
	}
	for _, text := range []string{"", "k1", "k1/", "1@", "@1", "k1/x"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q is read as %v", text, id)
		}
		if place, err := ParsePlace(text); err == nil {
			t.Errorf("%q is read as %v", text, place)
		}
	}
}

func TestBrokenRulesAreToldBelowTheTable(t *testing.T) {
	var many Breaches
	for i := range detailsShown + 2 {
		many.Addf("breach %d", i)
	}
	rows := []Row{Never("good", Breaches{}), Never("bad", many),
		{Rule: "high", Found: "9", Allowed: "8", Breaches: Unless(false)}}
	var b strings.Builder
	if err := Print(&b, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"good  holds    0        0\n", "bad   BROKEN   0        12\n",
		"high  BROKEN   8        9\n",
		"  bad: breach 9\n  bad: and 2 more\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "breach 10") || strings.Contains(b.String(), "  high: ") {
		t.Errorf("it tells too much:\n%s", &b)
	}
	if Hold(rows) || !Hold(rows[:1]) {
		t.Error("the verdict is not that of the rules")
	}
}

func TestTheSearchFindsSecretsInEveryForm(t *testing.T) {
	const secret = "a,=;\"'\\ ü€ z"
	for i, form := range forms(secret) {
		var s Secrets
		s.Use("password", secret)
		s.Saw("a log", "password is "+form+" and more")
		if s.Check() == nil {
			t.Errorf("form %d, %q, is not found", i, form)
		}
	}
	var s Secrets
	s.Use("key", "-----BEGIN PRIVATE KEY-----\n"+strings.Repeat("A", 64)+"\n-----END PRIVATE KEY-----\n")
	if s.Check() == nil {
		t.Error("a search of nothing passes")
	}
	s.Saw("a log", "-----BEGIN PRIVATE KEY----- [redacted]")
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Saw("a log", strings.Repeat("A", 64))
	if s.Check() == nil {
		t.Error("the key is not found")
	}
}
