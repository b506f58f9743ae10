package settings

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

const hidden = "hunter2-ü€"

// forms are what a careless reader of a log could take the secret from.
func forms(secret string) []string {
	return []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret),
		fmt.Sprint([]byte(secret)), fmt.Sprintf("%+q", secret)}
}

func mustNotShow(t *testing.T, how, output string) {
	t.Helper()
	for _, form := range forms(hidden) {
		if strings.Contains(output, form) {
			t.Errorf("%s shows the secret: %s", how, output)
		}
	}
}

func TestNoVerbShowsASecret(t *testing.T) {
	type inner struct{ s Secret }
	secret := NewSecret(hidden)
	holders := map[string]any{
		"the secret":            secret,
		"a pointer to it":       &secret,
		"a slice of it":         []Secret{secret},
		"a map of it":           map[string]Secret{"k": secret},
		"a map by it":           map[Secret]int{secret: 1},
		"an exported field":     struct{ S Secret }{secret},
		"an unexported field":   inner{secret},
		"a nested pointer":      struct{ p *inner }{&inner{secret}},
		"an interface":          struct{ a any }{secret},
		"the link it stands in": Link{Cluster: Cluster{Security: Security{Password: secret, TLSKey: secret}}},
		"an error about it":     fmt.Errorf("oh: %v", secret),
	}
	for name, holder := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%10.3s",
			"%o", "%T", "%z"} {
			mustNotShow(t, verb+" of "+name, fmt.Sprintf(verb, holder))
		}
	}
	if got := fmt.Sprintf("%v|%s|%q|%d|%v", secret, secret, secret, secret,
		Secret{}); got != `[redacted]|[redacted]|"[redacted]"|[redacted]|` {
		t.Errorf("shown as %s", got)
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	holder := struct {
		S Secret
		M map[Secret]Secret `xml:"-"`
	}{S: NewSecret(hidden), M: map[Secret]Secret{NewSecret(hidden): NewSecret(hidden)}}
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	mustNotShow(t, "JSON", string(asJSON))
	if !strings.Contains(string(asJSON), `"S":"[redacted]"`) {
		t.Errorf("JSON is %s", asJSON)
	}
	asXML, err := xml.Marshal(holder.S)
	if err != nil {
		t.Fatal(err)
	}
	mustNotShow(t, "XML", string(asXML))

	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("hello", "secret", holder.S, "holder", holder, "pointer", &holder,
			"link", Link{Cluster: Cluster{Security: Security{Password: holder.S}}})
		mustNotShow(t, name, out.String())
		if !strings.Contains(out.String(), redacted) {
			t.Errorf("%s does not say that something is hidden: %s", name, out.String())
		}
	}
}

func TestSecretsAreEqualByTheirText(t *testing.T) {
	one, same, other := NewSecret(hidden), NewSecret(strings.Clone(hidden)), NewSecret("else")
	if one != same || !reflect.DeepEqual(one, same) {
		t.Error("equal texts are not equal")
	}
	if one == other || reflect.DeepEqual(one, other) {
		t.Error("different texts are equal")
	}
	if one.Reveal() != hidden || one.Empty() {
		t.Error("the text is lost")
	}
	if empty := NewSecret(""); empty != (Secret{}) || !empty.Empty() || empty.Reveal() != "" {
		t.Error("an empty secret is not the zero value")
	}
}
