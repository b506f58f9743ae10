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
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
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
	// Variant tells routes of one peer and name apart. Of those that would divide records between two ways of delivery
	// the first one in the order reads, in all copies of the program.
	Variant string
}

// Label is how a route is shown, besides the peer and the name of its [ID], in log, metrics and status.
type Label struct {
	// Package is the WIT package of the interface, Direction one of [status.Target] and [status.Source].
	Package, Direction string
}

// Ask is what a route is to do.
type Ask struct {
	role.Role
	settings.Link
	// Deliverer makes what takes the records of a reading one by one, Batch what takes those of one of a role with
	// batches. It is called when a reading begins, which can serve two routes and outlive the one for which it began.
	Deliverer func(Delivery) record.Deliverer
	Batch     func(Delivery) record.BatchDeliverer
}

// Delivery is what a reading lends to those who take its records.
type Delivery struct {
	Settings *settings.Link
	Form     payload.Form
	Trace    *tracing.Link
	Log      *slog.Logger
}

// Route is what one link asks for, at work: one goroutine brings what runs in line with what was last asked for.
// Whatever it waits for, other routes and those who ask do not. Its methods may be called by many goroutines at once.
type Route struct {
	set   *Set
	id    ID
	label Label
	name  string
	log   *slog.Logger
	// errors and deadLetters are the last that the log told of the route.
	errors, deadLetters status.Events
	// wake has room for one token: there is something to do.
	wake chan struct{}
	// applying bounds what apply waits for.
	applying context.Context
	cancel   context.CancelFunc

	mu       sync.Mutex
	want     *Ask
	rejected error
	changed  bool // want or rejected, since they were last carried out
	stopping bool
	// stopCtx bounds the end. readEnded is called within the end when nothing is read any more; nil where nobody asks.
	stopCtx   context.Context
	readEnded func()
	unbind    func() bool // releases what stopCtx holds of the route
	known     []func()    // take the secrets of the last settings back
	// now is what runs; nil before the first settings were carried out and where they were refused.
	now *running
	// refused is why nothing, or not what was asked for, runs.
	refused error
	// settled is closed when the first settings have been carried out.
	settled chan struct{}
}

func newRoute(s *Set, id ID, label Label) *Route {
	ctx, cancel := context.WithCancel(s.living)
	l := &Route{
		applying: ctx, cancel: cancel, set: s, id: id, label: label,
		wake: make(chan struct{}, 1), settled: make(chan struct{}),
	}
	shown := l.shown()
	l.name = shown.ID()
	l.log = s.secrets.Logger(status.LogTo(s.log.With("link", id.Name, "component", id.Peer, "direction", label.Direction), &l.errors, &l.deadLetters))
	return l
}

// String names the route for people: "echo/default" for the usual one, with what differs from it added.
func (l *Route) String() string { return l.name }

// Log writes what is to be known of the route: with its names, and so that its status tells warnings and errors.
func (l *Route) Log() *slog.Logger { return l.log }

// shown is a status that says which route it is, and nothing else.
func (l *Route) shown() status.Link {
	return status.Link{Component: l.id.Peer, Name: l.id.Name, Package: l.label.Package, Direction: l.label.Direction}
}

func (l *Route) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Apply has the route do what is asked, soon: in the background it takes the place of what was asked before. Where nothing
// but credentials differ, these are exchanged while all goes on; else the component publishes by the new settings at once,
// and is given records by them when what read before has ended.
func (l *Route) Apply(want Ask) {
	l.mu.Lock()
	l.want, l.rejected, l.changed = &want, nil, true
	l.mu.Unlock()
	l.signal()
}

// Refuse ends what the route does: what was asked of it last cannot be done. Its problem is err.
func (l *Route) Refuse(err error) {
	l.mu.Lock()
	l.want, l.rejected, l.changed = nil, err, true
	l.mu.Unlock()
	l.signal()
}

// Hide has secrets taken out of all that the set tells, as long as the route is there. Those of the call before are kept
// as well: connections that still have them may be answered yet.
func (l *Route) Hide(secrets []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = append(l.known, l.set.secrets.Add(secrets...))
	const kept = 2
	for ; len(l.known) > kept; l.known = l.known[1:] {
		l.known[0]()
	}
}

// forget is called when the route is gone and nobody speaks of it any more.
func (l *Route) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, remove := range l.known {
		remove()
	}
	l.known = nil
}

// stop ends the unit. ctx bounds the end, and so does replaceTimeout. readEnded, if not nil, is called once, when the
// unit reads no more and can still publish; the rest of the end waits for its return.
func (l *Route) stop(ctx context.Context, readEnded func()) {
	l.mu.Lock()
	l.stopping, l.stopCtx, l.readEnded = true, ctx, readEnded
	l.unbind = context.AfterFunc(ctx, l.cancel) // a replacement that is under way has no more time than this either
	l.mu.Unlock()
	l.signal()
}

// run is the unit's goroutine.
func (l *Route) run() {
	defer l.cancel()
	defer l.forget()
	defer l.set.metrics.Use(l.id.Peer, l.id.Name).Release()
	for range l.wake {
		l.mu.Lock()
		want, rejected, changed, stopping, ctx, readEnded := l.want, l.rejected, l.changed, l.stopping, l.stopCtx, l.readEnded
		l.changed = false
		l.mu.Unlock()
		switch {
		case stopping:
			l.end(ctx, readEnded)
			l.mu.Lock()
			l.unbind() // ctx may be the provider's own and outlives many links
			l.mu.Unlock()
			return
		case !changed: // what other links read has
		case rejected != nil:
			l.apply(nil, rejected)
		default:
			l.apply(want, nil)
		}
		if now, _ := l.state(); now != nil {
			l.read(now)
		}
		l.settle()
	}
}

// read brings what is read for the link in line with what it asks for, and with what other links read.
func (l *Route) read(now *running) {
	ctx, cancel := context.WithTimeout(l.applying, replaceTimeout)
	defer cancel()
	l.set.waitBefore(ctx, l.id)
	l.set.readings.read(ctx, now)
}

// waitBefore waits until the links of the same name that come before a link have been carried out for the first time. So
// what they read does not depend on which of them was faster.
func (s *Set) waitBefore(ctx context.Context, id ID) {
	s.mu.RLock()
	var before []*Route
	for other, l := range s.routes {
		if other.Peer == id.Peer && other.Name == id.Name && compareIDs(other, id) < 0 {
			before = append(before, l)
		}
	}
	s.mu.RUnlock()
	for _, l := range before {
		select {
		case <-l.settled:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Route) settle() {
	select {
	case <-l.settled:
	default:
		close(l.settled)
	}
}

func (l *Route) end(ctx context.Context, readEnded func()) {
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	now, _ := l.state()
	if now != nil {
		now.stopReading(ctx)
	}
	if readEnded != nil {
		readEnded()
	}
	l.swap(nil, nil)
	if now != nil {
		now.stop(ctx)
	}
	l.settle()
	l.log.Info("link ended")
}

// swap sets what runs and returns what ran.
func (l *Route) swap(now *running, refused error) *running {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.now
	l.now, l.refused = now, refused
	return old
}

// state returns what runs, and why not what was asked for.
func (l *Route) state() (*running, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.refused
}

// apply brings what runs in line with parsed; nil with the reason where nothing can run.
func (l *Route) apply(parsed *Ask, refused error) {
	old, _ := l.state()
	if old != nil && parsed != nil {
		if old.role == parsed.Role && equalSettings(&old.settings, &parsed.Link) {
			l.swap(old, nil)
			return
		}
		if old.role == parsed.Role && old.rotate(&parsed.Link) {
			l.swap(old, nil)
			l.log.Info("the link's credentials were replaced: new connections use them")
			return
		}
	}
	ctx, cancel := context.WithTimeout(l.applying, replaceTimeout)
	defer cancel()
	if parsed == nil {
		if old := l.swap(nil, refused); old != nil {
			old.stop(ctx)
		}
		return
	}
	now, err := l.start(parsed)
	if err != nil {
		l.log.Error("the link is refused", "error", err)
		if old := l.swap(nil, err); old != nil {
			old.stop(ctx)
		}
		return
	}
	// The component may publish by the new settings from here on; the old ones drain meanwhile. Only then does the
	// new reading begin (see run), so that one copy is not two members of its group.
	l.swap(now, nil)
	// What it asks for is known before the old reading ends, or a link that has waited for that end would go by itself.
	l.set.readings.register(now)
	if old != nil {
		old.stop(ctx)
	}
	if parsed.Role.Delivers() && !parsed.Consumer.Enabled() {
		l.log.Warn("the link names no topic: nothing will be delivered")
	}
	l.log.Info("link ready", "interface", parsed.Role.String(), "settings", parsed.Link)
}

// problems says in words what is wrong with the link.
func (l *Route) problems() status.Problems {
	now, refused := l.state()
	switch {
	case refused != nil:
		return l.set.fit(status.Problems{{Kind: status.ProblemRefused, Text: refused.Error()}})
	case now == nil:
		return status.Problems{{Kind: status.ProblemStarting, Text: "starting"}}
	default:
		return l.set.fit(slices.Clone(now.problems()))
	}
}

func sortedIDs(routes map[ID]*Route) []ID { return slices.SortedFunc(maps.Keys(routes), compareIDs) }

// compareIDs is the order in which routes are told.
func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Variant, b.Variant))
}
