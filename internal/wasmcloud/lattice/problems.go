package lattice

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/nats/refusal"
)

// problems are what went wrong with the session itself and what a health check should therefore tell: without it, a
// link that never arrived would look like one that nobody put.
type problems struct {
	mu       sync.Mutex
	refusals map[string]struct{} // texts of the server
	lost     func() int          // link and config messages dropped, nil before there are subscriptions
}

func (t *problems) refused(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusals == nil {
		t.refusals = map[string]struct{}{}
	}
	const maxRefusals = 16 // there are six subscriptions
	if len(t.refusals) < maxRefusals {
		t.refusals[text] = struct{}{}
	}
}

// forgetRefusals is called when the server gets all subscriptions anew, and will complain anew.
func (t *problems) forgetRefusals() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusals = nil
}

func (t *problems) countLost(lost func() int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = lost
}

// text is empty where all is well.
func (t *problems) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	texts := slices.Sorted(maps.Keys(t.refusals))
	if t.lost != nil {
		if n := t.lost(); n > 0 {
			texts = append(texts, fmt.Sprintf("%d link or config changes came too fast and are lost; "+
				"restart the provider to read all links again", n))
		}
	}
	return strings.Join(texts, "; ")
}

func (s *Session) onAsyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	refused, ok := refusal.Of(err)
	if !ok {
		s.log.Error("lattice connection reports an error", "subject", subject, "error", err)
		return
	}
	if refused.Subject == s.statusSubject() {
		// Nothing that a host or a component does depends on it, and users of before it was there may lack the right.
		s.log.Warn("the lattice does not let the provider be asked for its status", "subject",
			s.statusSubject(), "error", err)
		return
	}
	if told := s.refusals.Load(); told != nil {
		(*told)(err)
	}
	if strings.HasPrefix(refused.Subject, s.eventsSubject("")) {
		// The events make some waits shorter, and users of before they were read may lack the right.
		s.log.Warn("the lattice does not let the provider hear when components are scaled and hosts stop", "error", err)
		return
	}
	s.log.Error("lattice connection reports an error", "subject", subject, "error", err)
	// A refused publish belongs to whoever published, and tells more of a peer than of this session.
	if refused.Subscription && strings.HasPrefix(refused.Subject, s.prefix()) {
		s.problems.refused(fmt.Sprintf("the lattice refuses a subscription: %v", err))
	}
}
