package provider

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
)

// replaceTimeout bounds the end of a link that is deleted or replaced while the provider runs. Records that are with
// the component get the link's drain_timeout out of it.
const replaceTimeout = 15 * time.Second

// link is the unit of one link: one goroutine that brings what runs in line with what the lattice last asked for.
// Whatever it waits for, other links and the lattice's worker do not.
type link struct {
	p   *Provider
	id  lattice.LinkID
	log *slog.Logger
	// errors and deadLetters are the last that the log told of the link.
	errors, deadLetters status.Events
	// wake has room for one token: there is something to do.
	wake chan struct{}
	// applying bounds what apply waits for.
	applying context.Context
	cancel   context.CancelFunc

	mu       sync.Mutex
	want     *lattice.Link
	rejected error
	changed  bool // want, rejected or the provider's defaults, since they were last carried out
	stopping bool
	// stopCtx bounds the end. readEnded is called within the end when nothing is read any more; nil where nobody asks.
	stopCtx   context.Context
	readEnded func()
	unbind    func() bool // releases what stopCtx holds of the link
	known     []func()    // take the secrets of the last puts back
	// now is what runs; nil before the first put was carried out and where the link was refused.
	now *running
	// refused is why nothing, or not what was asked for, runs.
	refused error
	// settled is closed when the first put has been carried out.
	settled chan struct{}
}

func newLink(p *Provider, id lattice.LinkID) *link {
	ctx, cancel := context.WithCancel(p.living)
	l := &link{
		applying: ctx, cancel: cancel, p: p, id: id,
		wake: make(chan struct{}, 1), settled: make(chan struct{}),
	}
	l.log = p.secrets.Logger(status.LogTo(p.log.With("link", id.Name, "component", id.Peer, "direction", id.Direction.String()), &l.errors, &l.deadLetters))
	return l
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) put(want lattice.Link) {
	l.mu.Lock()
	l.know(want.Config, want.Secrets)
	l.want, l.rejected, l.changed = &want, nil, true
	l.mu.Unlock()
	l.signal()
}

func (l *link) reject(err error) {
	l.mu.Lock()
	l.want, l.rejected, l.changed = nil, err, true
	l.mu.Unlock()
	l.signal()
}

// refresh has the link look again at the provider's defaults.
func (l *link) refresh() {
	l.mu.Lock()
	l.changed = true
	l.mu.Unlock()
	l.signal()
}

// stop ends the unit. ctx bounds the end, and so does replaceTimeout. readEnded, if not nil, is called once, when the
// unit reads no more and can still publish; the rest of the end waits for its return.
func (l *link) stop(ctx context.Context, readEnded func()) {
	l.mu.Lock()
	l.stopping, l.stopCtx, l.readEnded = true, ctx, readEnded
	l.unbind = context.AfterFunc(ctx, l.cancel) // a replacement that is under way has no more time than this either
	l.mu.Unlock()
	l.signal()
}

// run is the unit's goroutine.
func (l *link) run() {
	defer l.cancel()
	defer l.forget()
	defer l.p.metrics.Use(l.id.Peer, l.id.Name).Release()
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
			parsed, err := l.parse(want)
			if err != nil {
				l.log.Error("the link is refused", "error", err)
			}
			l.apply(parsed, err)
		}
		if now, _ := l.state(); now != nil {
			l.read(now)
		}
		l.settle()
	}
}

// read brings what is read for the link in line with what it asks for, and with what other links read.
func (l *link) read(now *running) {
	ctx, cancel := context.WithTimeout(l.applying, replaceTimeout)
	defer cancel()
	l.p.waitBefore(ctx, l.id)
	l.p.subscriptions.read(ctx, now)
}

// waitBefore waits until the links of the same name that come before a link have been carried out for the first time. So
// what they read does not depend on which of them was faster.
func (p *Provider) waitBefore(ctx context.Context, id lattice.LinkID) {
	p.mu.RLock()
	var before []*link
	for other, unit := range p.links {
		if other.Peer == id.Peer && other.Name == id.Name && compareLinks(other, id) < 0 {
			before = append(before, unit)
		}
	}
	p.mu.RUnlock()
	for _, unit := range before {
		select {
		case <-unit.settled:
		case <-ctx.Done():
			return
		}
	}
}

func (l *link) settle() {
	select {
	case <-l.settled:
	default:
		close(l.settled)
	}
}

func (l *link) end(ctx context.Context, readEnded func()) {
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
func (l *link) swap(now *running, refused error) *running {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.now
	l.now, l.refused = now, refused
	return old
}

// state returns what runs, and why not what was asked for.
func (l *link) state() (*running, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.refused
}

// parse reads the settings of the link.
func (l *link) parse(want *lattice.Link) (*ask, error) {
	does, err := roleOf(want)
	if err != nil {
		return nil, err
	}
	l.p.mu.RLock()
	defaults := l.p.config
	l.p.mu.RUnlock()
	parsed, warnings, err := settings.ParseLink(settings.Input{
		Defaults: defaults, DefaultSecrets: l.p.data.Secrets,
		Config: want.Config, Secrets: want.Secrets, Batches: does.Batches(), Records: does.Records(),
		Identity: settings.Identity{
			Lattice: l.p.data.Lattice, Component: l.id.Peer, LinkName: l.id.Name,
			HostID: l.p.data.HostID, ProviderKey: l.p.data.ProviderKey,
			End: l.id.Direction.String() + " of " + l.id.Namespace + ":" + l.id.Package,
		},
	})
	for _, w := range warnings {
		l.log.Warn(w.Text, "setting", w.Key)
	}
	if err != nil {
		return nil, err
	}
	if err := does.Check(&parsed); err != nil {
		return nil, err
	}
	return &ask{does, parsed}, nil
}

// roleOf reads what a link asks for.
func roleOf(l *lattice.Link) (role.Role, error) {
	return role.Of(l.ID.Direction == lattice.AsSource, l.ID.Namespace+":"+l.ID.Package, l.Interfaces)
}

// ask is what a link asks for.
type ask struct {
	role.Role
	settings.Link
}

// apply brings what runs in line with parsed; nil with the reason where nothing can run.
func (l *link) apply(parsed *ask, refused error) {
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
	l.p.subscriptions.register(now)
	if old != nil {
		old.stop(ctx)
	}
	if parsed.Role.Delivers() && !parsed.Consumer.Enabled() {
		l.log.Warn("the link names no topic: nothing will be delivered")
	}
	l.log.Info("link ready", "interface", parsed.Role.String(), "settings", parsed.Link)
}

// problems says in words what is wrong with the link.
func (l *link) problems() status.Problems {
	now, refused := l.state()
	switch {
	case refused != nil:
		return l.p.fit(status.Problems{{Kind: status.ProblemRefused, Text: refused.Error()}})
	case now == nil:
		return status.Problems{{Kind: status.ProblemStarting, Text: "starting"}}
	default:
		return l.p.fit(slices.Clone(now.problems()))
	}
}

func sortedLinks(links map[lattice.LinkID]*link) []lattice.LinkID {
	return slices.SortedFunc(maps.Keys(links), compareLinks)
}

// compareLinks is the order in which links are told.
func compareLinks(a, b lattice.LinkID) int {
	return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Direction, b.Direction),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Package, b.Package))
}
