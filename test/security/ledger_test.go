package security

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// ledger holds every secret that was used and everything that was said.
type ledger struct {
	mu      sync.Mutex
	secrets map[string]string // by a name to report them by
	said    []saying
}

type saying struct{ where, text string }

// run is the ledger of the whole run of the tests.
var run ledger

var closeLedger sync.Once

// secret notes a secret and returns it.
func (l *ledger) secret(name, text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = make(map[string]string)
	}
	l.secrets[name] = text
	return text
}

// saw notes what was said somewhere.
func (l *ledger) saw(where, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, saying{where, text})
}

// forms are the ways in which a secret might show.
func forms(secret string) []string {
	if strings.Contains(secret, "-----BEGIN") {
		// Of a key, one line of its body is as good as the whole.
		var lines []string
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) > 40 && !strings.HasPrefix(line, "-----") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	inJSON, err := json.Marshal(secret)
	if err != nil {
		panic(err) // strings cannot fail to marshal
	}
	quoted := fmt.Sprintf("%q", secret)
	return []string{
		secret, strings.Trim(string(inJSON), `"`), quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		strings.ToUpper(fmt.Sprintf("%x", secret)),
		fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
	}
}

// leaks returns where secrets show.
func (l *ledger) leaks() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for name, secret := range l.secrets {
		for _, form := range forms(secret) {
			for _, s := range l.said {
				if i := strings.Index(s.text, form); i >= 0 {
					from := max(0, i-120)
					found = append(found, fmt.Sprintf("%s shows in %s, behind %q", name, s.where, s.text[from:i]))
				}
			}
		}
	}
	return found
}

// watchForLeaks has the ledger searched after the last test.
func watchForLeaks(t *testing.T) {
	closeLedger.Do(func() {
		testkit.AtExit(t, func() error {
			if len(run.secrets) == 0 || len(run.said) == 0 {
				return errors.New("no secret was used, or nothing was said, so that nothing was searched")
			}
			bytes := 0
			for _, s := range run.said {
				bytes += len(s.text)
			}
			fmt.Printf("searched %d texts (%d bytes) for %d secrets\n", len(run.said), bytes, len(run.secrets))
			if leaks := run.leaks(); len(leaks) > 0 {
				return errors.New(strings.Join(leaks, "\n"))
			}
			return nil
		})
	})
}

func TestTheSearchFindsSecretsInEveryForm(t *testing.T) {
	const secret = "a,=;\"'\\ ü€ z"
	for i, form := range forms(secret) {
		var l ledger
		l.secret("password", secret)
		l.saw("a log", "password is "+form+" and more")
		if len(l.leaks()) == 0 {
			t.Errorf("form %d, %q, is not found", i, form)
		}
	}
	var l ledger
	l.secret("key", "-----BEGIN PRIVATE KEY-----\n"+strings.Repeat("A", 64)+"\n-----END PRIVATE KEY-----\n")
	l.saw("a log", "-----BEGIN PRIVATE KEY----- [redacted]")
	if found := l.leaks(); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	l.saw("a log", strings.Repeat("A", 64))
	if len(l.leaks()) == 0 {
		t.Error("the key is not found")
	}
}
