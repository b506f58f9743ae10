package simulation

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// replica is one copy of the provider: all of it but the lattice.
type replica struct {
	w    *world
	name string

	mu     sync.Mutex
	life   int
	since  time.Time // when it began
	net    *network
	routes *route.Set // nil where it does not live
	memory *memory.Budget
}

// budget bounds what a copy may hold.
const budget = 256 << 20

// start begins a life of the copy.
func (r *replica) start() {
	r.mu.Lock()
	if r.routes != nil {
		r.mu.Unlock()
		return
	}
	r.life++
	r.since = time.Now()
	w := r.w
	name := fmt.Sprint(r.name, r.life)
	r.net = newNetwork(name, &w.stack, &w.layer, newRand(w.plan.seed, "network "+name))
	r.net.ill = func() { w.disturb(r.name) }
	r.net.joined = func(from, to time.Time) { w.joined(r.name, from, to) }
	if w.plan.protocol == "classic" {
		r.net.alive = func(at time.Time) { w.heard(w.alive, r.name, at) }
		r.net.waits = func(at time.Time) { w.heard(w.waits, r.name, at) }
	}
	r.memory = memory.New(budget)
	r.routes = route.NewSet(route.Options{
		Log: w.events.logger().With("copy", r.name, "life", r.life), Metrics: telemetry.NewMetrics(),
		Secrets: new(redact.Redactor), Process: []string{"N" + r.name, "provider"}, Connector: r.net.dial,
		Memory: r.memory,
	})
	w.tell("%s starts (life %d)", r.name, r.life)
	r.mu.Unlock()
	for _, l := range w.theLinks() {
		r.put(&l)
	}
}

// settings are those of a link with a config.
func (r *replica) settings(does role.Role, config map[string]string) settings.Link {
	config = maps.Clone(config)
	config["hosts"] = strings.ReplaceAll(strings.Join(r.w.kafka.ListenAddrs(), ","), "localhost", "127.0.0.1")
	if r.w.issuer != nil {
		r.w.issuer.secure(config)
	}
	link, err := parse(does, config, "N"+r.name)
	if err != nil {
		r.w.t.Fatalf("seed %d draws settings that nobody takes: %v", r.w.plan.seed, err)
	}
	return link
}

// parse reads the settings of a link on a host.
func parse(does role.Role, config map[string]string, host string) (settings.Link, error) {
	link, _, err := settings.ParseLink(settings.Input{
		Config: config, Batches: does.Batches(), Records: does.Records(),
		Identity: settings.Identity{Lattice: "l", Component: "guest", LinkName: "default", HostID: host, ProviderKey: "provider"},
	})
	if err == nil {
		err = does.Check(&link)
	}
	return link, err
}

// has tells whether the copy lives, and by a network.
func (r *replica) has(n *network) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routes != nil && r.net == n
}

// set is what lives of the copy; nil where it does not.
func (r *replica) set() *route.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routes
}

// stop ends the life of the copy in order, within a time.
func (r *replica) stop(within time.Duration) {
	r.mu.Lock()
	routes, held, life := r.routes, r.memory, r.life
	r.routes = nil
	r.mu.Unlock()
	if routes == nil {
		return
	}
	r.w.disturb(r.name)
	r.w.tell("%s stops within %s", r.name, within)
	drains := r.drainTime()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	began := time.Now()
	if os.Getenv("SIMULATE_STACKS") != "" {
		defer time.AfterFunc(within+500*time.Millisecond, func() { panic("too long") }).Stop()
	}
	routes.Stop(ctx)
	if took := time.Since(began); took > within+time.Second {
		r.w.fail("stop-bounded", "%s stopped after %s, had %s", r.name, took, within)
	}
	routes.Close()
	if within >= 100*time.Millisecond { // else it was killed
		r.judgeEnds(life, began, min(within, drains))
	}
	if s := held.Status(); s.Used != 0 {
		r.w.fail("memory-within-lid", "%s has stopped and still holds %d bytes: %v", r.name, s.Used, s.Parts)
	}
	r.w.tell("%s has stopped", r.name)
}

// drainTime is for how long calls may go on when a link of the copy ends: the longest that one has, or had.
func (r *replica) drainTime() (most time.Duration) {
	of := func(does role.Role, config map[string]string) {
		link := r.settings(does, config)
		most = max(most, link.Delivery.DrainTimeout)
	}
	of(r.w.plan.role(), r.w.plan.config)
	for i := range r.w.links {
		l := r.w.change(i, func(*link) {})
		of(l.role, l.config)
	}
	if slices.ContainsFunc(r.w.plan.events, func(e event) bool { return e.what == "link replaced" }) {
		for _, value := range passing["drain_timeout"] {
			of(r.w.plan.role(), map[string]string{"topic": input, "drain_timeout": value})
		}
	}
	return most
}

// judgeEnds is the invariant stop-bounded for calls: those that are under way when a copy is told to stop are given up
// when they have had their time. An earlier life of the copy may be about to stop still, with calls of its own.
func (r *replica) judgeEnds(life int, told time.Time, had time.Duration) {
	for ; ; time.Sleep(100 * time.Millisecond) {
		late := time.Since(told) > had+time.Second
		i := slices.IndexFunc(r.w.guest.still().calls, func(v visit) bool {
			return v.copy == r.name && v.life == life && !v.began.After(told) && (v.end.IsZero() || v.end.Sub(told) > had+time.Second)
		})
		if i < 0 {
			return
		}
		if late {
			r.w.fail("stop-bounded", "%s is at work on %v for longer than the %s that calls have when it is told to stop", r.name,
				r.w.guest.still().calls[i].place, had)
			return
		}
	}
}

// kill ends the life of the copy at once: nothing of it reaches Kafka any more.
func (r *replica) kill() {
	r.mu.Lock()
	n := r.net
	r.mu.Unlock()
	r.w.tell("%s is killed", r.name)
	n.cut(true)
	r.stop(time.Millisecond)
}

// cut cuts the connections of the copy.
func (r *replica) cut() {
	r.mu.Lock()
	n := r.net
	r.mu.Unlock()
	n.cut(false)
}

// problems are what its health would say; nil for a copy that is not there.
func (r *replica) problems() status.Problems {
	routes := r.set()
	if routes == nil {
		return nil
	}
	return routes.Problems()
}
