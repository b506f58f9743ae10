package route

import (
	"context"
	"slices"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// readings are the readings of the provider, and what links ask to be read. A component may be linked in both
// directions with the same topic, as users of the original provider do who add a link of the usual direction: that is
// one reading for two links, not two members of one group in one process.
type readings struct {
	shared *shared

	mu     sync.Mutex
	open   []*reading // those that end as well, until they have: they have no users
	claims map[*claim]bool
	// ended is closed, and made anew, when one of them has ended.
	ended chan struct{}
	// shutdown bounds the ends of all once the provider stops; nil before.
	shutdown context.Context
}

// read has what c asks for read, or not, in view of what others read and ask for: with others who ask for the same; not
// at all where one that comes before c would get part of the records in another way; and not yet while what stands
// against it ends. It returns what is left to be done.
func (s *readings) read(c *claim) remains {
	s.mu.Lock()
	if s.shared.pauses.of(c.id.named()) != nil { // who waits for its end looks under this lock whether one has begun
		s.mu.Unlock()
		return s.halt(c)
	}
	clash := s.clashOf(c)
	sub := c.reading()
	if clash == nil && sub == nil && s.free(c) {
		old, err := s.join(c)
		s.mu.Unlock()
		if err != nil {
			c.log.Error("reading cannot begin", "error", err)
			c.setUnread(err)
		}
		return remains{rest: releaser(c.log, old)}
	}
	again := sub != nil && clash == nil && s.wanted(sub)
	s.mu.Unlock()
	switch {
	case again:
		c.log.Info("reading begins anew as another member of the group", "group_instance_id", c.wanted.Settings.Consumer.InstanceID)
		left := s.leave(c)
		c.look()
		return left
	case clash != nil:
		if c.setUnread(clash) {
			c.log.Warn("its topics are not read for it", "reason", clash)
		}
		return s.leave(c)
	case sub == nil:
		c.setUnread(nil) // it is read when what stands against it has ended
	}
	return remains{}
}

// wake has those look again who do not read what they ask for. It is called with mu held.
func (s *readings) wake() {
	for c := range s.claims {
		if c.reading() == nil {
			c.look()
		}
	}
}

// join begins what c asks for, or has it share what is read already. It returns a handle that is to be released. It is
// called with mu held.
func (s *readings) join(c *claim) (*produce.Handle, error) {
	i := slices.IndexFunc(s.open, func(sub *reading) bool { return sub.claim.key == c.key })
	if i < 0 {
		sub, err := newReading(s.shared, c, s.instance(c))
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, sub)
		c.setReading(sub)
		return nil, nil
	}
	sub := s.open[i]
	sub.users = slices.Insert(sub.users, 0, c) // its credentials are those of another link, which work
	c.setReading(sub)
	c.log.Info(s.shared.Words.Pick("the component's link in the other direction reads the same already: both share it", "another route reads the same already: both share it"))
	old, err := sub.adopt(sub.security)
	if err != nil {
		sub.log.Error("reading goes on with the settings that it has for what it produces", "error", err)
	}
	return old, nil
}

// leave ends c's part in what reads for it; the last one ends that. It returns what is left to
// be done.
func (s *readings) leave(c *claim) remains {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := c.setReading(nil)
	if sub == nil {
		return remains{}
	}
	i := slices.Index(sub.users, c)
	sub.users = slices.Delete(sub.users, i, i+1)
	if len(sub.users) > 0 {
		old, err := sub.adopt(sub.users[len(sub.users)-1].settings.Cluster.Security)
		if err != nil {
			sub.log.Error("reading goes on with credentials of somebody who is gone", "error", err)
		}
		return remains{rest: releaser(sub.log, old)}
	}
	if s.shutdown != nil {
		sub.Hurry(s.shutdown)
	}
	return remains{reading: func(ctx context.Context) {
		sub.end(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open = slices.DeleteFunc(s.open, func(other *reading) bool { return other == sub })
		close(s.ended)
		s.ended = make(chan struct{})
		s.wake()
	}}
}

// hurry has the ends of links that were deleted or replaced just before give way to a shutdown: what they have finished
// is committed and their groups are left in the shutdown's time.
func (s *readings) hurry(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown = ctx
	for _, sub := range s.open {
		if len(sub.users) == 0 {
			sub.Hurry(ctx)
		}
	}
}

// rotate has what reads for c, if anything does, use its new credentials. It returns a handle that is to be released.
func (s *readings) rotate(c *claim, security settings.Security) (*produce.Handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.settings.Cluster.Security = security
	sub := c.reading()
	if sub == nil {
		return nil, nil
	}
	old, err := sub.adopt(security)
	if err == nil {
		i := slices.Index(sub.users, c)
		sub.users = append(slices.Delete(sub.users, i, i+1), c)
	}
	return old, err
}
