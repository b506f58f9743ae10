package route

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// claim is what a route asks to read, and what is read for it.
type claim struct {
	id     ID
	name   string // of the route, for people
	wanted *Wanted
	key    string // equal where the same is asked for
	log    *slog.Logger
	// look has the route look again at what is to be read for it.
	look func()
	// settings are those of wanted, with the credentials of the moment; readings.mu protects them.
	settings settings.Link

	mu    sync.Mutex
	reads *reading // nil where nothing is read
	// unread is why nothing is read though the route asks for it; nil is that it comes.
	unread error
}

// newClaim returns what a route asks to read, nil where that is nothing.
func newClaim(r *Route, wanted *Wanted) *claim {
	if !wanted.Settings.Consumer.Enabled() {
		return nil
	}
	return &claim{
		id: r.id, name: r.name, wanted: wanted, key: claimKey(r.id, wanted), log: r.log, look: r.signal, settings: wanted.Settings,
	}
}

// claimKey is equal for those who ask for the same records, from the same brokers, delivered to the same peer in the
// same way.
func claimKey(id ID, wanted *Wanted) string {
	return fmt.Sprintf("%s|%s|%s|%s", id.Peer, id.Name, wanted.Role.Delivery(), wanted.Settings.Reading())
}

// reading is what reads for the claim at the moment, nil where nothing does.
func (c *claim) reading() *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// setReading sets what reads for the claim, and returns what did before.
func (c *claim) setReading(now *reading) *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.reads
	c.reads = now
	if now != nil {
		c.unread = nil
	}
	return before
}

// setUnread sets why nothing is read; nil is that it comes. It tells whether that is new.
func (c *claim) setUnread(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := why != nil && (c.unread == nil || c.unread.Error() != why.Error())
	c.unread = why
	return news
}

// problems are what is wrong with what is read for the claim.
func (c *claim) problems() status.Problems {
	c.mu.Lock()
	reads, unread := c.reads, c.unread
	c.mu.Unlock()
	switch {
	case unread != nil:
		return status.Problems{{Kind: status.ProblemRefused, Text: unread.Error()}}
	case reads != nil:
		return reads.Status().Problems
	default:
		return status.Problems{{Kind: status.ProblemStarting, Text: "starting"}}
	}
}

// register notes what c asks for, and has those look again whom it concerns.
func (s *readings) register(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[c] {
		return
	}
	for other := range s.claims {
		if other.sameName(c) {
			other.look()
		}
		switch text, certain := c.clash(other); {
		case certain:
			other.look()
		case text != "":
			c.log.Warn(s.shared.Words.Pick("records are divided between links", "records are divided between routes"),
				"reason", s.shared.Words.Link()+" "+other.name+" "+text)
		}
	}
	s.claims[c] = true
}

// forget ends c's part in what reads for it, and what it asks for. It returns what is left to be done; see leave.
func (s *readings) forget(c *claim) remains {
	s.mu.Lock()
	delete(s.claims, c)
	s.wake()
	s.mu.Unlock()
	return s.leave(c)
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
	for other := range s.claims {
		if compareIDs(other.id, c.id) >= 0 {
			continue
		}
		if text, certain := c.clash(other); certain {
			return fmt.Errorf("%s %s %s", s.shared.Words.Link(), other.name, text)
		}
	}
	return nil
}

// free tells whether no reading is open, or still ends, that c cannot read beside. It is called with mu held.
func (s *readings) free(c *claim) bool {
	for _, sub := range s.open {
		if _, certain := c.clash(sub.claim); certain || s.memberAs(c, sub) || (sub.claim.key == c.key && len(sub.users) == 0) {
			return false
		}
	}
	return true
}

func (c *claim) sameName(other *claim) bool {
	return c.id.Peer == other.id.Peer && c.id.Name == other.id.Name
}
