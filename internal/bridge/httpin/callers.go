package httpin

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// caller is a [Caller] that may ask.
type caller struct {
	Caller
	places *semaphore.Weighted
	// memory is what the caller's requests hold: one who fills it takes nothing from the others.
	memory *memory.Account
}

// allows tells whether the caller may publish to a topic, as far as that is not the route's to say. The topic may be a
// whole subject.
func (c *caller) allows(topic string) bool {
	if len(c.AllowedTopics) == 0 {
		return true
	}
	topic, _, _ = strings.Cut(topic, "?")
	return slices.ContainsFunc(c.AllowedTopics, func(pattern string) bool { return settings.MatchTopic(pattern, topic) })
}

// token is one of a caller's, of which the sum is enough to compare.
type token struct {
	sum [sha256.Size]byte
	of  *caller
}

// callers are all who may ask, at one time.
type callers struct {
	tokens       []token
	certificates map[string]*caller
	anyone       *caller // nil refuses who shows nothing
}

func newCallers(list []Caller, anyone *Caller) (*callers, error) {
	if len(list) == 0 && anyone == nil {
		return nil, errors.New("nobody may ask: name some")
	}
	all := &callers{certificates: make(map[string]*caller)}
	names := make(map[string]bool)
	for i := range list {
		one, err := newCaller(&list[i])
		if err != nil {
			return nil, err
		}
		if names[one.Name] {
			return nil, fmt.Errorf("there are two called %s", one.Name)
		}
		names[one.Name] = true
		if len(one.Tokens) == 0 && len(one.Certificates) == 0 {
			return nil, fmt.Errorf("caller %s has neither a token nor a certificate", one.Name)
		}
		if err := all.add(one); err != nil {
			return nil, err
		}
	}
	if anyone == nil {
		return all, nil
	}
	var err error
	all.anyone, err = newCaller(anyone)
	return all, err
}

func newCaller(c *Caller) (*caller, error) {
	one := &caller{Caller: *c}
	switch {
	case one.Name == "":
		return nil, errors.New("a caller has no name")
	case len(one.Routes) == 0:
		return nil, fmt.Errorf("caller %s has no route to publish by", one.Name)
	}
	if one.MaxInFlight <= 0 {
		one.MaxInFlight = DefaultMaxInFlight
	}
	one.places = semaphore.NewWeighted(int64(one.MaxInFlight))
	return one, nil
}

func (all *callers) add(one *caller) error {
	for _, secret := range one.Tokens {
		text := secret.Reveal()
		if len(text) < minToken {
			return fmt.Errorf("a token of caller %s has fewer than %d characters, which can be guessed", one.Name, minToken)
		}
		if all.byToken(text) != nil {
			return fmt.Errorf("a token of caller %s is there twice", one.Name)
		}
		all.tokens = append(all.tokens, token{sha256.Sum256([]byte(text)), one})
	}
	for _, name := range one.Certificates {
		kind, value, ok := strings.Cut(name, ":")
		if !ok || value == "" || !slices.Contains([]string{"cn", "dns", "uri"}, kind) {
			return fmt.Errorf("caller %s: %q is not the name of a certificate: cn:NAME, dns:NAME or uri:NAME", one.Name, name)
		}
		if all.certificates[name] != nil {
			return fmt.Errorf("the certificate %s of caller %s is there twice", name, one.Name)
		}
		all.certificates[name] = one
	}
	return nil
}

// byToken finds whose a token is, in a time that tells nothing of the tokens.
func (all *callers) byToken(text string) *caller {
	sum := sha256.Sum256([]byte(text))
	var found *caller
	for i := range all.tokens {
		if subtle.ConstantTimeCompare(sum[:], all.tokens[i].sum[:]) == 1 {
			found = all.tokens[i].of
		}
	}
	return found
}

// byCertificate finds whose a client certificate is, which has been verified.
func (all *callers) byCertificate(c *x509.Certificate) *caller {
	names := []string{"cn:" + c.Subject.CommonName}
	for _, name := range c.DNSNames {
		names = append(names, "dns:"+name)
	}
	for _, name := range c.URIs {
		names = append(names, "uri:"+name.String())
	}
	for _, name := range names {
		if found := all.certificates[name]; found != nil {
			return found
		}
	}
	return nil
}

// each are the callers, by their names.
func (all *callers) each() map[string]*caller {
	list := make(map[string]*caller)
	for i := range all.tokens {
		list[all.tokens[i].of.Name] = all.tokens[i].of
	}
	for _, one := range all.certificates {
		list[one.Name] = one
	}
	if all.anyone != nil {
		list[all.anyone.Name] = all.anyone
	}
	return list
}

// takeOver gives callers what those of the same name before have of memory, nil for none before, and opens what is new.
// It returns what is to be closed: of those who are gone.
func (all *callers) takeOver(before *callers, budget *memory.Budget) (gone []*memory.Account) {
	had := make(map[string]*memory.Account)
	if before != nil {
		for name, one := range before.each() {
			had[name] = one.memory
		}
	}
	for name, one := range all.each() {
		if account, kept := had[name]; kept {
			one.memory = account
			delete(had, name)
			continue
		}
		one.memory = budget.Open("requests of caller " + name)
	}
	return slices.Collect(maps.Values(had))
}

// who says who asks. A token that is shown decides, right or wrong.
func (all *callers) who(r *http.Request) (*caller, *failure) {
	unknown := func(text string) (*caller, *failure) {
		return nil, &failure{status: http.StatusUnauthorized, text: text, end: true}
	}
	if shown := r.Header.Values("Authorization"); len(shown) > 0 {
		scheme, text, _ := strings.Cut(shown[0], " ")
		if len(shown) > 1 || !strings.EqualFold(scheme, "bearer") {
			return unknown("a token is shown as Authorization: Bearer TOKEN")
		}
		if found := all.byToken(strings.TrimSpace(text)); found != nil {
			return found, nil
		}
		return unknown("the token is not known")
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		if found := all.byCertificate(r.TLS.PeerCertificates[0]); found != nil {
			return found, nil
		}
		return unknown("no caller has a name of the client certificate")
	}
	if all.anyone != nil {
		return all.anyone, nil
	}
	return unknown("a token or a client certificate is needed")
}
