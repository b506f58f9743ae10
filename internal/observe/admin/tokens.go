package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// tokens are those of operators. The zero value has none, and lets nobody act.
type tokens struct {
	known []knownToken
}

type knownToken struct {
	sum  [sha256.Size]byte
	name string
}

// newTokens returns the tokens of a setting.
func newTokens(list []settings.ControlToken) tokens {
	var t tokens
	for _, one := range list {
		t.known = append(t.known, knownToken{sha256.Sum256([]byte(one.Token.Reveal())), one.Name})
	}
	return t
}

// any tells whether there is a token by which somebody may act.
func (t tokens) any() bool { return len(t.known) > 0 }

// whose names the operator who makes an HTTP request; "" is nobody. It takes a time that tells nothing of the tokens.
func (t tokens) whose(r *http.Request) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
	name := ""
	for i := range t.known {
		if subtle.ConstantTimeCompare(sum[:], t.known[i].sum[:]) == 1 {
			name = t.known[i].name
		}
	}
	return name
}
