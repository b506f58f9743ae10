package route

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
)

// A closed client of Kafka may log once more, after its route has ended.
func TestSecretsOutlastTheirRouteForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secrets := new(redact.Redactor)
		r := &Route{shared: &shared{Options: Options{Secrets: secrets}}}
		for _, secret := range []string{"first-secret", "second-secret", "third-secret"} {
			r.Hide([]string{secret})
		}
		const text = "refused: first-secret, second-secret, third-secret"
		const hidden = "refused: [redacted], [redacted], [redacted]"
		if got := secrets.Secrets(text); got != hidden {
			t.Errorf("after the third settings the text is %q", got)
		}
		time.Sleep(secretsStay + time.Second)
		if got, want := secrets.Secrets(text), "refused: first-secret, [redacted], [redacted]"; got != want {
			t.Errorf("later the text is %q, want %q", got, want)
		}
		r.forget()
		if got, want := secrets.Secrets(text), "refused: first-secret, [redacted], [redacted]"; got != want {
			t.Errorf("at the end of the route the text is %q, want %q", got, want)
		}
		time.Sleep(secretsStay + time.Second)
		if got := secrets.Secrets(text); got != text {
			t.Errorf("after the end of the route the text is %q", got)
		}
	})
}
