package settings

import (
	"encoding/json"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value that must never be shown. Everything that formats or marshals values shows "[redacted]" for
// it; [Secret.Reveal] is the one way to the text.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text, for use in an authentication only.
func (s Secret) Reveal() string { return s.text }

// Empty tells whether there is no text.
func (s Secret) Empty() bool { return s.text == "" }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer, so that %#v shows no secret either.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
