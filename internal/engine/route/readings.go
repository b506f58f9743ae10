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
	mu     sync.Mutex
	open   []*reading // those that end as well, until they have: they have no users
	claims map[*running]*claim
	// shutdown bounds the ends of all once the provider stops; nil before.
	shutdown context.Context
}

// read has r read what it asks for, or not, in view of what other links read and ask for: with others who ask for the
// same; not at all where one that comes before r would get part of the records in another way; and not yet while what
// stands against it ends.
func (s *readings) read(ctx context.Context, r *running) {
	mine := s.register(r)
	if mine == nil {
		return
	}
	s.mu.Lock()
	clash := s.clashOf(mine)
	sub := r.reading()
	if clash == nil && sub == nil && s.free(mine) {
		old, err := s.join(mine)
		s.mu.Unlock()
		r.set.release(old, r.log)
		if err != nil {
			r.log.Error("reading cannot begin", "error", err)
			r.setUnread(err)
		}
		return
	}
	again := sub != nil && clash == nil && s.wanted(sub)
	s.mu.Unlock()
	switch {
	case again:
		r.log.Info("reading begins anew as another member of the group", "group_instance_id", mine.settings.Consumer.InstanceID)
		s.leave(ctx, r)
		r.route.signal()
	case clash != nil:
		if r.setUnread(clash) {
			r.log.Warn("the link's topics are not read for it", "cause", clash)
		}
		s.leave(ctx, r)
	case sub == nil:
		r.setUnread(nil) // it is read when what stands against it has ended
	}
}

// wake has those look again who do not read what they ask for. It is called with mu held.
func (s *readings) wake() {
	for r := range s.claims {
		if r.reading() == nil {
			r.route.signal()
		}
	}
}

// join begins what c asks for, or has it share what is read already. It returns a handle that is to be released. It is
// called with mu held.
func (s *readings) join(c *claim) (*produce.Handle, error) {
	r := c.running
	i := slices.IndexFunc(s.open, func(sub *reading) bool { return sub.key == c.key })
	if i < 0 {
		sub, err := newReading(c, s.instance(c))
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, sub)
		r.setReading(sub)
		return nil, nil
	}
	sub := s.open[i]
	sub.users = slices.Insert(sub.users, 0, r) // its credentials are those of another link, which work
	r.setReading(sub)
	r.log.Info("the component's link in the other direction reads the same already: both share it")
	old, err := sub.adopt(sub.security)
	if err != nil {
		sub.log.Error("reading goes on with the settings that it has for what it produces", "error", err)
	}
	return old, nil
}

// leave ends r's part in what reads for it; the last link ends that within ctx.
func (s *readings) leave(ctx context.Context, r *running) {
	s.mu.Lock()
	sub := r.setReading(nil)
	if sub == nil {
		s.mu.Unlock()
		return
	}
	i := slices.Index(sub.users, r)
	sub.users = slices.Delete(sub.users, i, i+1)
	if len(sub.users) > 0 {
		old, err := sub.adopt(sub.users[len(sub.users)-1].current().Cluster.Security)
		s.mu.Unlock()
		if err != nil {
			sub.log.Error("reading goes on with the credentials of a link that is gone", "error", err)
		}
		r.set.release(old, sub.log)
		return
	}
	if s.shutdown != nil {
		sub.Hurry(s.shutdown)
	}
	s.mu.Unlock()
	sub.end(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(other *reading) bool { return other == sub })
	s.wake()
}

// hurry has the ends of links that were deleted or replaced just before give way to a shutdown: what they have finished is
// committed and their groups are left in the shutdown's time.
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

// rotate has r's reading, if it has one, use the new credentials of r.
func (s *readings) rotate(r *running, security settings.Security) error {
	s.mu.Lock()
	sub := r.reading()
	if sub == nil {
		s.mu.Unlock()
		return nil
	}
	old, err := sub.adopt(security)
	if err == nil {
		i := slices.Index(sub.users, r)
		sub.users = append(slices.Delete(sub.users, i, i+1), r)
	}
	s.mu.Unlock()
	r.set.release(old, sub.log)
	return err
}
