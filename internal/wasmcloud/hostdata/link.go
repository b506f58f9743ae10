package hostdata

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Link is a resolved link as the host writes it: in the host data, and in the messages that put and delete links.
// It holds both sides' configuration and secrets, and formats, logs and marshals as its names alone.
type Link struct {
	// SourceID calls, Target serves.
	SourceID     string   `json:"source_id"`
	Target       string   `json:"target"`
	Name         string   `json:"name"`
	WITNamespace string   `json:"wit_namespace"`
	WITPackage   string   `json:"wit_package"`
	Interfaces   []string `json:"interfaces"`

	SourceConfig map[string]string `json:"source_config"`
	TargetConfig map[string]string `json:"target_config"`
	// SourceSecrets and TargetSecrets are sealed for the provider's curve key, both sides' alike; nil where there
	// are none.
	SourceSecrets Sealed `json:"source_secrets"`
	TargetSecrets Sealed `json:"target_secrets"`
}

// DecodeLink reads one link's JSON. Where an error comes with a Link, a field had the wrong type and the others
// are as they were read. The error never holds a value.
func DecodeLink(b []byte) (Link, error) {
	var l Link
	err := unmarshal(b, &l)
	return l, err
}

// String names the link.
func (l Link) String() string {
	var interfaces strings.Builder
	for i, name := range l.Interfaces {
		if i == maxShown {
			interfaces.WriteString(" …")
			break
		}
		interfaces.WriteString(" " + shown(name))
	}
	return fmt.Sprintf("link %s from %s to %s (%s:%s %s)", shown(l.Name), shown(l.SourceID), shown(l.Target),
		shown(l.WITNamespace), shown(l.WITPackage), strings.TrimSpace(interfaces.String()))
}

// maxShown bounds what is shown of lists, and maxShownName of names: whoever may put a link chooses both. No link is
// taken whose names are longer.
const maxShown, maxShownName = 16, 512

func shown(name string) string { return strconv.Quote(text.Whole(name, maxShownName)) }

// Format implements fmt.Formatter, so that no verb shows configuration or secrets.
func (l Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue implements slog.LogValuer.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalJSON implements json.Marshaler with the link's names.
func (l Link) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Sealed is an encrypted map of secrets, which hosts write as an array of numbers. It is not shown either: whoever
// later gets hold of a key could open what a log kept.
type Sealed []byte

// String tells how much there is.
func (s Sealed) String() string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("[%d sealed bytes]", len(s))
}

// Format implements fmt.Formatter, so that no verb shows the bytes.
func (s Sealed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Sealed) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON implements json.Marshaler with the text of String.
func (s Sealed) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
