package route

import (
	"context"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// claim is what a link asks to read.
type claim struct {
	*running
	key      string
	settings settings.Link
}

// readingKey is equal for links that ask for the same records, from the same brokers, delivered to the same
// component in the same way.
func readingKey(r *running) string {
	return fmt.Sprintf("%s|%s|%s|%s", r.id.Peer, r.id.Name, r.role.Delivery(), r.settings.Reading())
}

// register notes what r asks for, and has those look again whom it concerns. It returns nil where r reads nothing.
func (s *readings) register(r *running) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine := s.claims[r]; mine != nil || !r.settings.Consumer.Enabled() {
		return mine
	}
	mine := &claim{running: r, key: readingKey(r), settings: r.current()}
	for _, other := range s.claims {
		if other.sameName(mine) {
			other.route.signal()
		}
		switch text, certain := mine.clash(other); {
		case certain:
			other.route.signal()
		case text != "":
			r.log.Warn("records are divided between links", "cause", fmt.Sprintf("link %s %s", other.route, text))
		}
	}
	if s.claims == nil {
		s.claims = make(map[*running]*claim)
	}
	s.claims[r] = mine
	return mine
}

// forget ends r's part in what reads for it, within ctx, and what it asks for.
func (s *readings) forget(ctx context.Context, r *running) {
	s.mu.Lock()
	delete(s.claims, r)
	s.wake()
	s.mu.Unlock()
	s.leave(ctx, r)
}

// clash says in words why c and other cannot both read as they ask.
func (c *claim) clash(other *claim) (text string, certain bool) {
	if c.key == other.key {
		return "", false
	}
	return c.settings.Clash(&other.settings, c.sameName(other))
}

// clashOf returns why c must not read: another link stands against it that comes before. Which one that is must not
// depend on which came first, or copies of the provider would come to different ends. It is called with mu held.
func (s *readings) clashOf(c *claim) error {
	for _, other := range s.claims {
		if compareIDs(other.id, c.id) >= 0 {
			continue
		}
		if text, certain := c.clash(other); certain {
			return fmt.Errorf("link %s %s", other.route, text)
		}
	}
	return nil
}

// free tells whether no reading is open, or still ends, that c cannot read beside. It is called with mu held.
func (s *readings) free(c *claim) bool {
	for _, sub := range s.open {
		if _, certain := c.clash(sub.claim); certain || s.memberAs(c, sub) || (sub.key == c.key && len(sub.users) == 0) {
			return false
		}
	}
	return true
}

func (c *claim) sameName(other *claim) bool {
	return c.id.Peer == other.id.Peer && c.id.Name == other.id.Name
}
