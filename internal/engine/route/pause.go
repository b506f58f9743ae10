package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Name is what operators act on: all routes of one peer and name, which have a group and perhaps a reading together.
type Name struct{ Peer, Name string }

func (id ID) named() Name { return Name{id.Peer, id.Name} }

// String is how a name is written: echo/default.
func (n Name) String() string { return n.Peer + "/" + n.Name }

// Refusals of what an operator asks for.
var (
	// ErrNoLink says that there is no such route here.
	ErrNoLink = errors.New("nothing here is called so")
	// ErrAmbiguous says that several are meant.
	ErrAmbiguous = errors.New("several are called so")
	// ErrReadsNothing says that nothing is to be read.
	ErrReadsNothing = errors.New("it reads no topic: there is nothing to pause or to set offsets of")
	// ErrHeld says that another one is about it.
	ErrHeld = errors.New("its offsets are being set by somebody else")
	// ErrNotHeld says that a hold is over.
	ErrNotHeld = errors.New("it is not held by that name any more")
	// ErrMembers says that somebody is in the group whose offsets are to be set.
	ErrMembers = consume.ErrMembers
	// ErrShareGroup says that the group has no offsets.
	ErrShareGroup = consume.ErrShareGroup
	// ErrNoPlace says that there is no such place in a log.
	ErrNoPlace = consume.ErrTarget

	errPauses = fmt.Errorf("%d are paused already, and no more can be", maxPauses)
)

// maxPauses bounds what is remembered. A pause outlasts its link: one whose settings change is deleted and put again.
const maxPauses = 16 << 10

// halt is why the routes of a name read nothing.
type halt struct {
	paused *status.Pause
	held   *status.Pause // for a while, by the hold that is called so
	hold   string
}

// pauses are the names whose routes read nothing, whether there are any or not. Nothing is taken under its lock.
type pauses struct {
	mu sync.Mutex
	by map[Name]halt
}

// of says why the routes of a name read nothing; nil is that they may.
func (p *pauses) of(name Name) *status.Pause {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.by[name]
	if h.paused != nil {
		return h.paused
	}
	return h.held
}

// change has f change the halt of a name, and forgets it where nothing is left of it.
func (p *pauses) change(name Name, f func(*halt) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, known := p.by[name]
	if err := f(&h); err != nil {
		return err
	}
	switch {
	case h.paused == nil && h.held == nil:
		delete(p.by, name)
	case !known && len(p.by) >= maxPauses:
		return errPauses
	default:
		if p.by == nil {
			p.by = make(map[Name]halt)
		}
		p.by[name] = h
	}
	return nil
}

// expired ends the holds whose time is over, and returns whose.
func (p *pauses) expired(now time.Time) (names []Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, h := range p.by {
		if h.held == nil || now.Before(*h.held.Until) {
			continue
		}
		names = append(names, name)
		if h.held, h.hold = nil, ""; h.paused == nil {
			delete(p.by, name)
		} else {
			p.by[name] = h
		}
	}
	return names
}

// paused says why the route reads nothing although it is to; nil is that nobody wants that.
func (r *Route) paused() *status.Pause {
	if now, _ := r.state(); now == nil || now.claim == nil {
		return nil
	}
	return r.shared.pauses.of(r.id.named())
}

// Lookup finds the name that an operator means by a text: a name as [Name.String] writes it, a route as [Route.String]
// does, or the name without the peer where one peer alone has it.
func (s *Set) Lookup(text string) (Name, error) {
	names := make(map[Name]bool)
	for id, r := range s.current() {
		name := id.named()
		switch text {
		case name.String(), r.String():
			return name, nil
		case id.Name:
			names[name] = true
		}
	}
	switch found := slices.SortedFunc(maps.Keys(names), func(a, b Name) int { return strings.Compare(a.String(), b.String()) }); len(found) {
	case 0:
		return Name{}, fmt.Errorf("%w: %s", ErrNoLink, text)
	case 1:
		return found[0], nil
	default:
		all := make([]string, len(found))
		for i, name := range found {
			all[i] = name.String()
		}
		return Name{}, fmt.Errorf("%w: %s", ErrAmbiguous, strings.Join(all, ", "))
	}
}

// Named are how the routes of a name are called, in their order.
func (s *Set) Named(name Name) []string {
	var names []string
	for _, r := range s.named(name) {
		names = append(names, r.String())
	}
	return names
}

func (s *Set) named(name Name) []*Route {
	var list []*Route
	routes := s.current()
	for _, id := range sortedIDs(routes) {
		if id.named() == name {
			list = append(list, routes[id])
		}
	}
	return list
}

// Pause has the routes of a name read nothing from now on, until [Set.Resume]: what is with receivers is finished and
// committed as at a stop, and the group is left for good. They can be published by as before. Another pause takes the
// place of one that is there. It returns at once; see [Set.AwaitQuiet].
func (s *Set) Pause(name Name, p status.Pause) error {
	if !s.reads(name) {
		return ErrReadsNothing
	}
	if err := s.Restore(name, p); err != nil {
		return err
	}
	s.tell(name, s.Words.Pick("the link is paused", "the route is paused"), p.String())
	return nil
}

// Restore is [Set.Pause] for what was paused before a restart: there need not be such routes yet.
func (s *Set) Restore(name Name, p status.Pause) error {
	err := s.pauses.change(name, func(h *halt) error {
		h.paused = &p
		return nil
	})
	s.lookAt(name)
	return err
}

// Resume ends a pause. It tells whether there was one.
func (s *Set) Resume(name Name, by string) bool {
	was := false
	_ = s.pauses.change(name, func(h *halt) error { // it cannot fail: nothing is added
		was, h.paused = h.paused != nil, nil
		return nil
	})
	if was {
		s.tell(name, s.Words.Pick("the link is resumed", "the route is resumed"), "resumed by "+by)
	}
	s.lookAt(name)
	return was
}

// Paused are all pauses, holds left out.
func (s *Set) Paused() map[Name]status.Pause {
	s.pauses.mu.Lock()
	defer s.pauses.mu.Unlock()
	all := make(map[Name]status.Pause)
	for name, h := range s.pauses.by {
		if h.paused != nil {
			all[name] = *h.paused
		}
	}
	return all
}

// Hold has the routes of a name read nothing until [Set.Release] or the time that p has, whichever is first. hold tells
// one from others: while one lasts there is no other. The same may be asked for again, to last longer.
func (s *Set) Hold(name Name, hold string, p status.Pause) error {
	if !s.reads(name) {
		return ErrReadsNothing
	}
	err := s.pauses.change(name, func(h *halt) error {
		if h.held != nil && h.hold != hold && time.Now().Before(*h.held.Until) {
			return fmt.Errorf("%w: %s", ErrHeld, h.held)
		}
		h.held, h.hold = &p, hold
		return nil
	})
	s.lookAt(name)
	return err
}

// Held tells whether a hold lasts.
func (s *Set) Held(name Name, hold string) bool {
	s.pauses.mu.Lock()
	defer s.pauses.mu.Unlock()
	h := s.pauses.by[name]
	return h.held != nil && h.hold == hold && time.Now().Before(*h.held.Until)
}

// Release ends a hold, if it lasts.
func (s *Set) Release(name Name, hold string) {
	_ = s.pauses.change(name, func(h *halt) error { // it cannot fail: nothing is added
		if h.hold == hold {
			h.held, h.hold = nil, ""
		}
		return nil
	})
	s.lookAt(name)
}

// endHolds ends those whose time is over: who has asked for them is gone.
func (s *Set) endHolds(now time.Time) {
	for _, name := range s.pauses.expired(now) {
		s.tell(name, "reading goes on: it was held for long enough", "the seek for which it was held has not told of its end")
		s.lookAt(name)
	}
}

// Restart has what runs of the routes of a name end and begin anew, by the same settings. It returns at once.
func (s *Set) Restart(name Name, by string) {
	s.tell(name, s.Words.Pick("the link is begun anew", "the route is begun anew"), "restarted by "+by)
	for _, r := range s.named(name) {
		r.mu.Lock()
		r.changed, r.anew = true, true
		r.mu.Unlock()
		r.signal()
	}
}

// lookAt has the routes of a name look at what is to be read.
func (s *Set) lookAt(name Name) {
	for _, r := range s.named(name) {
		r.signal()
	}
}

// tell has the log and the events of routes say what became of them.
func (s *Set) tell(name Name, line, event string) {
	for _, r := range s.named(name) {
		r.log.Info(line, "reason", event)
		r.errors.Add(status.Event{Time: time.Now(), Text: s.Secrets.Text(event)})
	}
}

// reads tells whether a route of a name is to read something.
func (s *Set) reads(name Name) bool {
	return slices.ContainsFunc(s.named(name), func(r *Route) bool { return r.wantsToRead() })
}

func (r *Route) wantsToRead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted != nil && r.wanted.Settings.Consumer.Enabled()
}

// AwaitQuiet waits until nothing is read for the routes of a name, and nothing of it ends any more. They are paused or
// held, or this is a moment in their life.
func (s *Set) AwaitQuiet(ctx context.Context, name Name) error {
	for {
		ended := s.readings.busy(func(sub *reading) bool { return sub.claim.id.named() == name })
		if ended == nil {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("reading has not ended yet: %w", ctx.Err())
		}
	}
}

// AwaitAnew waits until nothing runs any more of what was read for a name at the time of the call.
func (s *Set) AwaitAnew(ctx context.Context, name Name) func() error {
	var before []*reading
	s.readings.busy(func(sub *reading) bool {
		if sub.claim.id.named() == name {
			before = append(before, sub)
		}
		return false
	})
	return func() error {
		for {
			ended := s.readings.busy(func(sub *reading) bool { return slices.Contains(before, sub) })
			if ended == nil {
				return nil
			}
			select {
			case <-ended:
			case <-ctx.Done():
				return fmt.Errorf("what was read has not ended yet: %w", ctx.Err())
			}
		}
	}
}

// seekTimeout bounds the part of a seek that speaks with Kafka; the wait for who leaves the group is in it.
const seekTimeout = 15 * time.Second

// Seek sets the offsets from which the group of a name goes on; with dry it only says where to. text is what the
// operator called it, which chooses where links of one name have groups of their own. Nothing of it may be read here:
// it is paused or held. Of a dry one leaving are the members that would have left the group ([Set.Members]); nil is not
// to ask for others.
func (s *Set) Seek(
	ctx context.Context, name Name, text string, to *control.Target, dry bool, leaving []string,
) ([]control.Move, error) {
	asked, err := s.seekable(name, text)
	if err != nil {
		return nil, err
	}
	access, err := kafka.NewAccess(asked.Cluster, s.Log)
	if err != nil {
		return nil, s.Secrets.Err(err)
	}
	access.Redact(s.Secrets)
	access.Watch(s.Metrics.Client("consumer"))
	access.ConnectBy(s.Connector)
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	moves, err := consume.Seek(ctx, access, &asked.Consumer, to, dry, leaving)
	if err != nil {
		return nil, s.Secrets.Err(seekError(access, err))
	}
	for i := range moves {
		moves[i].Topic = s.Secrets.Value(moves[i].Topic)
	}
	return moves, nil
}

// seekError says what an error of Kafka means. What a seek refuses by itself says so already.
func seekError(access *kafka.Access, err error) error {
	for _, own := range []error{consume.ErrMembers, consume.ErrTarget, consume.ErrShareGroup} {
		if errors.Is(err, own) {
			return err
		}
	}
	_, answered := errors.AsType[*kerr.Error](err)
	if d := access.Explain(err); answered || d.Class != kafka.ClassOther {
		return errors.New(d.Text)
	}
	return err
}

// Members are as whom the readings of a name are in their groups, which they leave where the name is held. What others
// read as well is not among them.
func (s *Set) Members(name Name) []string {
	s.readings.mu.Lock()
	defer s.readings.mu.Unlock()
	members := []string{}
	for _, sub := range s.readings.open {
		if sub.claim.id.named() != name || slices.ContainsFunc(sub.users, func(c *claim) bool { return c.id.named() != name }) {
			continue
		}
		if member := sub.Member(); member != "" {
			members = append(members, member)
		}
	}
	return members
}

// seekable are the settings of what is read for a name.
func (s *Set) seekable(name Name, text string) (*settings.Link, error) {
	var found *settings.Link
	for _, r := range s.named(name) {
		now, _ := r.state()
		if now == nil || now.claim == nil {
			continue
		}
		asked := s.readings.asked(now.claim)
		if text == r.String() && text != name.String() {
			return asked, nil
		}
		if found != nil && (found.Consumer.Group != asked.Consumer.Group || found.Reading() != asked.Reading()) {
			return nil, fmt.Errorf("%w, and they read different things: name one of %s", ErrAmbiguous, strings.Join(s.Named(name), ", "))
		}
		found = asked
	}
	if found == nil {
		return nil, ErrReadsNothing
	}
	return found, nil
}

// asked are the settings of a claim, with the credentials of the moment.
func (s *readings) asked(c *claim) *settings.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := c.settings
	return &asked
}

// busy returns what is closed when a reading has ended, if one is open that is meant; else nil.
func (s *readings) busy(meant func(*reading) bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.open, meant) {
		return nil
	}
	return s.ended
}

// halt ends c's part in what reads for it because somebody has paused that: the group is left for good, since nobody
// comes back soon.
func (s *readings) halt(c *claim) remains {
	c.setUnread(nil)
	if sub := c.reading(); sub != nil {
		sub.LeaveForGood()
	}
	return s.leave(c)
}
