package route

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// replaceTimeout bounds the end of a route that is closed or replaced while the others go on. Records that are with
// whoever takes them get the settings' drain_timeout out of it.
const replaceTimeout = 15 * time.Second

// ID tells one route from all others of its [Set]. It is comparable, and compared field by field it gives the order of
// routes.
type ID struct {
	// Peer is who is at the other end: the id of a component. Name is what the peer calls the route by. Routes of one peer
	// and name share metrics, a group by default, and a reading where they ask for the same.
	Peer, Name string
	// Variant tells routes of one peer and name apart. Where two would divide records between two ways of delivery, the
	// first one in the order reads, in all copies of the program.
	Variant string
}

// Label is how a route is shown, besides the peer and the name of its [ID], in log, metrics and status.
type Label struct {
	// Package is the WIT package of the interface, Direction one of [status.Target] and [status.Source].
	Package, Direction string
}

// Wanted is what a route is to do.
type Wanted struct {
	Role     role.Role
	Settings settings.Link
	// Receiver makes what takes the records of a reading, in batches where the role has them. It is called when a reading
	// begins, which can serve two routes and outlive the one for which it began. A receiver that has a method Close is
	// closed when its reading has ended.
	Receiver func(Delivery) record.Receiver
}

// Route is what one link asks for, at work: one goroutine brings what runs in line with what was last asked for.
// Others do not wait for what it waits for. Its methods may be called by many goroutines at once.
type Route struct {
	shared   *shared
	readings *readings
	id       ID
	label    Label
	name     string
	log      *slog.Logger
	// before are the routes that come before this one and have not been carried out for the first time.
	before func() []*Route
	// errors and deadLetters are the last that the log told of the route.
	errors      status.Events
	deadLetters status.DeadLetters
	// wake has room for one token: there is something to do.
	wake chan struct{}
	// applying bounds what goes on beside the route.
	applying context.Context
	cancel   context.CancelFunc
	// beside is what goes on, and waits what of it is for the routes that come before this one; the route's goroutine has
	// them for itself.
	beside []*aside
	waits  *aside

	mu       sync.Mutex
	wanted   *Wanted
	rejected error
	changed  bool // wanted or rejected, since they were last carried out
	anew     bool // with changed: what runs is to begin anew although nothing differs
	stopping bool
	// stopCtx bounds the end. readEnded is called within the end when nothing is read any more; nil where nobody asks.
	stopCtx   context.Context
	readEnded func()
	unbind    func() bool // releases what stopCtx holds of the route
	hidden    []func()    // take the secrets of the last settings back
	// now is what runs; nil before the first settings were carried out and where they were refused.
	now *work
	// refused is why nothing, or not what was asked for, runs.
	refused error
	// settled is closed when the first settings have been carried out.
	settled chan struct{}
}

func newRoute(s *Set, id ID, label Label) *Route {
	ctx, cancel := context.WithCancel(s.living)
	r := &Route{
		shared: s.shared, readings: &s.readings, id: id, label: label, applying: ctx, cancel: cancel,
		before: func() []*Route { return s.unsettledBefore(id) },
		wake:   make(chan struct{}, 1), settled: make(chan struct{}),
	}
	shown := r.shown()
	r.name = shown.ID()
	log := s.Log.With(s.Words.LogKeys(id.Name, id.Peer)...).With("direction", label.Direction)
	r.log = s.Secrets.Logger(status.LogTo(log, &r.errors, &r.deadLetters))
	return r
}

// String names the route for people: "echo/default" for the usual one, with what differs from it added.
func (r *Route) String() string { return r.name }

// Log writes what is to be known of the route: with its names, and so that its status tells warnings and errors.
func (r *Route) Log() *slog.Logger { return r.log }

// shown is a status that says which route it is, and nothing else.
func (r *Route) shown() status.Link {
	return status.Link{Component: r.id.Peer, Name: r.id.Name, Package: r.label.Package, Direction: r.label.Direction}
}

func (r *Route) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Apply has the route do what is asked, soon: in the background it takes the place of what was asked before. Where
// nothing but credentials differ, these are exchanged while all goes on; else the component publishes by the new
// settings at once, and is given records by them when what read before has ended.
func (r *Route) Apply(want Wanted) {
	r.mu.Lock()
	r.wanted, r.rejected, r.changed = &want, nil, true
	r.mu.Unlock()
	r.signal()
}

// Refuse ends what the route does: what was asked of it last cannot be done. Its problem is err.
func (r *Route) Refuse(err error) {
	r.mu.Lock()
	r.wanted, r.rejected, r.changed = nil, err, true
	r.mu.Unlock()
	r.signal()
}

// Hide has secrets taken out of all that the set tells, as long as the route is there. Those of the call before are
// kept as well: connections that still have them may be answered yet.
func (r *Route) Hide(secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden = append(r.hidden, r.shared.Secrets.Add(secrets...))
	const kept = 2
	for ; len(r.hidden) > kept; r.hidden = r.hidden[1:] {
		showLater(r.hidden[0])
	}
}

// secretsStay is how much longer than its connections a secret is taken out of texts: a client of Kafka that is closed
// does not wait for all its goroutines, and one of them may be about to log what a broker has answered.
const secretsStay = 10 * time.Second

func showLater(remove func()) { time.AfterFunc(secretsStay, remove) }

// forget is called when the route is gone.
func (r *Route) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, remove := range r.hidden {
		showLater(remove)
	}
	r.hidden = nil
}

// stop ends the route. ctx bounds the end, and so does replaceTimeout. readEnded, if not nil, is called once, when the
// route reads no more and can still publish; the rest of the end waits for its return.
func (r *Route) stop(ctx context.Context, readEnded func()) {
	r.mu.Lock()
	r.stopping, r.stopCtx, r.readEnded = true, ctx, readEnded
	r.unbind = context.AfterFunc(ctx, r.cancel) // a replacement that is under way has no more time than this either
	r.mu.Unlock()
	r.signal()
}

// run is the route's goroutine. It waits for nothing but what it is to do: what takes its time goes on beside it, or a
// change would have to wait for what the one before it has left to be done.
func (r *Route) run() {
	defer r.cancel()
	defer r.forget()
	defer r.shared.Metrics.Use(r.id.Peer, r.id.Name).Release()
	for range r.wake {
		r.mu.Lock()
		want, rejected, changed, stopping, ctx, readEnded := r.wanted, r.rejected, r.changed, r.stopping, r.stopCtx, r.readEnded
		anew := r.anew
		r.changed, r.anew = false, false
		r.mu.Unlock()
		switch {
		case stopping:
			r.end(ctx, readEnded)
			r.mu.Lock()
			r.unbind() // ctx may be the provider's own and outlives many links
			r.mu.Unlock()
			return
		case !changed: // what other links read has
		case rejected != nil:
			r.apply(nil, rejected, anew)
		default:
			r.apply(want, nil, anew)
		}
		r.read()
		r.settle()
	}
}

// read brings what is read for the route in line with what it asks for, and with what others read, once nothing of it
// reads any more by settings of before: one copy must not be two members of its group.
func (r *Route) read() {
	now, _ := r.state()
	if now == nil || r.readingEnds() {
		return
	}
	now.tellReady()
	if now.claim != nil && r.paused() != nil {
		r.doBeside(r.readings.halt(now.claim))
		return
	}
	if now.claim == nil || !r.itsTurn() {
		return
	}
	r.doBeside(r.readings.read(now.claim))
}

// itsTurn tells whether the routes that come before this one have been carried out for the first time; where they have
// not, the route looks again when they have, and goes on without them after replaceTimeout.
func (r *Route) itsTurn() bool {
	before := r.before()
	switch {
	case r.waits != nil && !r.waits.over():
		return false
	case len(before) == 0, r.waits != nil:
		r.waits = nil
		return true
	}
	r.waits = r.doBeside(remains{rest: func(ctx context.Context) {
		for _, other := range before {
			select {
			case <-other.settled:
			case <-ctx.Done():
				return
			}
		}
	}})
	return false
}

// unsettledBefore returns the links of the same name that come before a link and have not been carried out for the
// first time. They are waited for, so that what is read does not depend on which of them was faster.
func (s *Set) unsettledBefore(id ID) []*Route {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var before []*Route
	for other, r := range s.routes {
		if other.Peer == id.Peer && other.Name == id.Name && compareIDs(other, id) < 0 && !r.isSettled() {
			before = append(before, r)
		}
	}
	return before
}

func (r *Route) isSettled() bool { return closed(r.settled) }

func (r *Route) settle() {
	if !r.isSettled() {
		close(r.settled)
	}
}

func (r *Route) end(ctx context.Context, readEnded func()) {
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	if r.waits != nil {
		r.waits.cut()
	}
	var left remains
	if now, _ := r.state(); now != nil {
		left = now.end()
	}
	if left.reading != nil {
		left.reading(ctx)
	}
	for _, a := range r.beside {
		<-a.readEnded // bounded, as its end is
	}
	if readEnded != nil {
		readEnded()
	}
	r.swap(nil, nil)
	if left.rest != nil {
		left.rest(ctx)
	}
	for _, a := range r.beside {
		<-a.ended
	}
	r.settle()
	r.log.Info(r.shared.Words.Pick("link ended", "route ended"))
}

// swap sets what runs and returns what ran.
func (r *Route) swap(now *work, refused error) *work {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.now
	r.now, r.refused = now, refused
	return old
}

// state returns what runs, and why not what was asked for.
func (r *Route) state() (*work, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, r.refused
}

// apply brings what runs in line with parsed; nil with the reason where nothing can run. With anew nothing that runs
// goes on.
func (r *Route) apply(parsed *Wanted, refused error, anew bool) {
	old, _ := r.state()
	if old != nil && parsed != nil && !anew {
		if old.wanted.Role == parsed.Role && equalSettings(&old.settings, &parsed.Settings) {
			r.swap(old, nil)
			return
		}
		if old.wanted.Role == parsed.Role {
			exchanged, left := old.rotate(&parsed.Settings)
			r.doBeside(remains{rest: left})
			if exchanged {
				r.swap(old, nil)
				r.log.Info(r.shared.Words.Pick("the link's credentials were replaced: new connections use them",
					"the route's credentials were replaced: new connections use them"))
				return
			}
		}
	}
	if parsed == nil {
		r.replace(nil, refused)
		return
	}
	now, err := r.start(parsed)
	if err != nil {
		r.log.Error(r.shared.Words.Pick("the link is refused", "the route is refused"), "error", err)
	}
	r.replace(now, err)
}

// replace has now, nil with the reason for nothing, run in place of what runs, which ends beside it: the component
// publishes by it from here on, and its reading begins when the old one has ended (see read).
func (r *Route) replace(now *work, refused error) {
	old := r.swap(now, refused)
	// The others know what it asks for before the old reading ends, or a link that has waited for that end would go by
	// itself.
	if now != nil && now.claim != nil {
		r.readings.register(now.claim)
	}
	if old == nil {
		return
	}
	r.doBeside(old.end())
}

// problems says in words what is wrong with the link.
func (r *Route) problems() status.Problems {
	now, refused := r.state()
	switch {
	case refused != nil:
		return r.shared.fit(status.Problems{{Kind: status.ProblemRefused, Text: refused.Error()}})
	case now == nil:
		return status.Problems{{Kind: status.ProblemStarting, Text: "starting"}}
	default:
		return r.shared.fit(slices.Clone(now.problems()))
	}
}

func sortedIDs(routes map[ID]*Route) []ID { return slices.SortedFunc(maps.Keys(routes), compareIDs) }

// compareIDs is the order in which routes are listed.
func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Variant, b.Variant))
}
