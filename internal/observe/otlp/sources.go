package otlp

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Sources are what the export is configured from, the strongest first. A stronger source decides key by key; what it
// does not say, the next one does.
type Sources struct {
	// Secrets and Config are the provider's own. Only keys with the names of OTEL_* variables, in any case, are read of
	// both. A header with a token belongs into a secret, OTEL_EXPORTER_OTLP_HEADERS.
	Secrets map[string]settings.Secret
	Config  map[string]string
	// Host is the host's otel_config. A host that has observability off says nothing, apart from its additional CAs
	// and from signals that it switches off by name.
	Host HostConfig
	// Getenv reads the OTEL_* variables, as os.Getenv does; nil = there are none.
	Getenv func(string) string
}

// own returns what the provider's own secrets or config say of a variable, "" where they are silent.
func (s *Sources) own(name string) string {
	for key, secret := range s.Secrets {
		if strings.EqualFold(key, name) {
			if text := strings.TrimSpace(secret.Reveal()); text != "" {
				return text
			}
		}
	}
	for key, text := range s.Config {
		if strings.EqualFold(key, name) {
			if text = strings.TrimSpace(text); text != "" {
				return text
			}
		}
	}
	return ""
}

// env returns a variable of the environment. An empty one counts as unset (OpenTelemetry's rule).
func (s *Sources) env(name string) string {
	if s.Getenv == nil {
		return ""
	}
	return strings.TrimSpace(s.Getenv(name))
}

// given returns a variable that the host has no say in.
func (s *Sources) given(name string) string { return s.decide(name, "") }

// decide returns the strongest value of a variable.
func (s *Sources) decide(name, host string) string {
	if own := s.own(name); own != "" {
		return own
	}
	if host = strings.TrimSpace(host); host != "" {
		return host
	}
	return s.env(name)
}

// exporter is decide for the variables OTEL_EXPORTER_OTLP_<what>, of which each signal can have its own,
// OTEL_EXPORTER_OTLP_<signal>_<what>.
func (s *Sources) exporter(sig signal, what, host string) string {
	special, general := "OTEL_EXPORTER_OTLP_"+sig.variable()+"_"+what, "OTEL_EXPORTER_OTLP_"+what
	for _, text := range []string{s.own(special), s.own(general), strings.TrimSpace(host), s.env(special)} {
		if text != "" {
			return text
		}
	}
	return s.env(general)
}

// number reads a whole number from 1 to most. The value of a variable that is none is a problem, and not used.
func (r *reading) number(name string, host *uint64, def, most int) int {
	said := ""
	if host != nil {
		said = strconv.FormatUint(*host, 10)
	}
	text := r.decide(name, said)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		r.problem("%s is no number above 0; %d is used", name, def)
		return def
	}
	if n > most {
		r.problem("%s is more than %d, which is used", name, most)
		return most
	}
	return n
}

// maxMilliseconds bounds times: an hour.
const maxMilliseconds = 3_600_000

func (r *reading) milliseconds(name string, def time.Duration) time.Duration {
	return time.Duration(r.number(name, nil, int(def/time.Millisecond), maxMilliseconds)) * time.Millisecond
}

// isTrue reads a variable of two values. OpenTelemetry: only "true", in any case, is true.
func isTrue(text string) bool { return strings.EqualFold(text, "true") }

// pairs reads a list key=value,key=value whose values are percent-encoded, as in W3C Baggage. Its error does not hold
// the text, in which there may be a secret.
func pairs(text string) ([][2]string, error) {
	var list [][2]string
	for i, part := range strings.Split(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || key == "" {
			return nil, fmt.Errorf("part %d is not of the form key=value", i+1)
		}
		value, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("the value of part %d is not percent-encoded as it should be", i+1)
		}
		list = append(list, [2]string{key, value})
	}
	return list, nil
}
