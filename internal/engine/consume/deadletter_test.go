package consume

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// TestADeadLetterTellsNoSecret, whoever has given the reason: the engine and Kafka have reasons of their own.
func TestADeadLetterTellsNoSecret(t *testing.T) {
	const secret = "Zq7-canary/of.the+route=19"
	cfg := Config{Secrets: new(redact.Redactor)}
	cfg.Secrets.Add(secret)
	cfg.Settings.Delivery.DeadLetterTopic = "dead"
	for n := range len(secret) + 4 {
		cause := errors.New(secret + strings.Repeat("z", maxErrorText-len(redact.Mark)-n) + secret + " is wrong")
		letter := cfg.letter()(&record.Record{Topic: "orders", Timestamp: time.UnixMilli(0)}, 1, cause)
		found := false
		for _, h := range letter.Headers {
			if h.Key != HeaderError {
				continue
			}
			found = true
			if text := string(h.Value); strings.Contains(text, secret[:4]) || !strings.HasPrefix(text, redact.Mark+"zzz") || len(text) > maxErrorText {
				t.Errorf("%d: %d bytes from %q to %q", n, len(text), text[:20], text[len(text)-40:])
			}
		}
		if !found {
			t.Error("it has no reason")
		}
	}
}
