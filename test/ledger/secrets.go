package ledger

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// Secrets holds every secret that was used and everything that was said, and finds the one in the other.
type Secrets struct {
	mu      sync.Mutex
	secrets map[string]string // by a name to report them by
	said    []saying
}

type saying struct{ where, text string }

// Use notes a secret and returns it.
func (s *Secrets) Use(name, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = make(map[string]string)
	}
	s.secrets[name] = text
	return text
}

// Saw notes what was said somewhere.
func (s *Secrets) Saw(where, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, saying{where, text})
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
func (s *Secrets) leaks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for name, secret := range s.secrets {
		for _, form := range forms(secret) {
			for _, said := range s.said {
				if i := strings.Index(said.text, form); i >= 0 {
					from := max(0, i-120)
					found = append(found, fmt.Sprintf("%s shows in %s, behind %q", name, said.where, said.text[from:i]))
				}
			}
		}
	}
	return found
}

// Check tells on standard output how much it searches, and returns an error where a secret shows, or where there was
// nothing to search.
func (s *Secrets) Check() error {
	s.mu.Lock()
	secrets, texts, bytes := len(s.secrets), len(s.said), 0
	for _, said := range s.said {
		bytes += len(said.text)
	}
	s.mu.Unlock()
	if secrets == 0 || texts == 0 {
		return errors.New("no secret was used, or nothing was said, so that nothing was searched")
	}
	fmt.Printf("searched %d texts (%d bytes) for %d secrets\n", texts, bytes, secrets)
	if leaks := s.leaks(); len(leaks) > 0 {
		return errors.New(strings.Join(leaks, "\n"))
	}
	return nil
}
