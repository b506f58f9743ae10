package simulation

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// link is one that all copies have, as long as it is there.
type link struct {
	id        route.ID
	role      role.Role
	direction string
	config    map[string]string
	there     bool
}

// links are the one that reads and, where the component takes messages, the one of the other direction, which shares
// its reading.
func (p *plan) links() []*link {
	list := []*link{{
		id: route.ID{Peer: "guest", Name: "default", Variant: "1"}, role: p.role(), direction: status.Source, config: p.config, there: true,
	}}
	if !p.role().Batches() {
		list = append(list, &link{
			id: route.ID{Peer: "guest", Name: "default", Variant: "0"}, role: role.Messaging, direction: status.Target, config: p.config, there: p.both,
		})
	}
	if p.publishes {
		list = append(list, p.sender())
	}
	return list
}

// put has a living copy do what a link asks for.
func (r *replica) put(l *link) {
	r.mu.Lock()
	routes, life := r.routes, r.life
	r.mu.Unlock()
	if routes == nil {
		return
	}
	if one := routes.Open(l.id, route.Label{Direction: l.direction}); one != nil { // it may be about to stop
		one.Apply(route.Wanted{
			Role: l.role, Settings: r.settings(l.role, l.config),
			Receiver: func(route.Delivery) record.Receiver { return receiver{r.w.guest, r.name, life} },
		})
	}
}

// everywhere has all copies hear of something, each a moment after the other.
func (w *world) everywhere(ctx context.Context, rng *rand.Rand, hear func(*replica)) {
	for _, r := range w.copies {
		hear(r)
		sleep(ctx, time.Duration(rng.Int64N(int64(time.Second))))
	}
}

// change changes what a link is, and returns what it is then.
func (w *world) change(i int, to func(*link)) link {
	w.mu.Lock()
	defer w.mu.Unlock()
	to(w.links[i])
	return *w.links[i]
}

// theLinks are those that are there.
func (w *world) theLinks() (list []link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		if l.there {
			list = append(list, *l)
		}
	}
	return list
}

// passing are settings that a link may be given while it runs without another outcome for any record.
var passing = map[string][]string{
	"commit_interval": {"100ms", "1s", "5s"}, "drain_timeout": {"0s", "1s", "5s"}, "fetch_max_wait": {"100ms", "500ms"},
	"handle_timeout": {"5s", "20s"}, "max_buffer": {"1MiB", "64MiB"}, "max_in_flight": {"1", "4", "100"}, "retry_backoff": {"10ms", "1s"},
}

// deeds are what an operator does with links.
var deeds = []misfortune{
	{name: "link replaced", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		names := slices.Sorted(maps.Keys(passing))
		name := names[rng.IntN(len(names))]
		value := passing[name][rng.IntN(len(passing[name]))]
		w.tell("the link is put with %s=%s, in each direction that it has", name, value)
		for i := range w.links { // links of two directions that differ stand against each other
			if w.links[i].role == role.Produce {
				continue
			}
			w.change(i, func(l *link) {
				l.config = maps.Clone(l.config)
				l.config[name] = value
			})
		}
		for _, l := range w.theLinks() {
			w.everywhere(ctx, rng, func(r *replica) { r.put(&l) })
		}
	}},
	{name: "link deleted", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		i := rng.IntN(len(w.links))
		l := w.change(i, func(l *link) { l.there = false })
		w.tell("link %s is deleted", l.role)
		w.everywhere(ctx, rng, func(r *replica) {
			if routes := r.set(); routes != nil {
				routes.Drop(l.id)
			}
		})
		sleep(ctx, time.Duration(rng.Int64N(int64(20*time.Second))))
		l = w.change(i, func(l *link) { l.there = true })
		w.tell("link %s is put", l.role)
		w.everywhere(ctx, rng, func(r *replica) { r.put(&l) })
	}},
	{name: "link put again", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		l := w.change(rng.IntN(len(w.links)), func(l *link) { l.there = true })
		w.tell("link %s is put again", l.role)
		w.everywhere(ctx, rng, func(r *replica) { r.put(&l) })
	}},
}

// happenings are all that a plan has come at some time.
func happenings() []misfortune { return slices.Concat(misfortunes, deeds, tokenTroubles) }
