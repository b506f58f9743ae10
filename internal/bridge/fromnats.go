package bridge

import (
	"context"
	"reflect"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsin"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// listener takes messages of NATS for a route.
type listener struct {
	*natsin.Listener
	name string        // of the route
	made settings.Link // of what
}

// listenerTimeout bounds the end of a listener whose route is changed or gone.
const listenerTimeout = 5 * time.Second

// listenNATS has the routes of a file take messages of NATS. Listeners that it does not change go on, and the next one
// of a route listens before the one before it ends.
func (b *Bridge) listenNATS(c *config.Config) {
	now := make(map[string]*listener)
	var over []*listener
	b.mu.RLock()
	before := b.listeners
	b.mu.RUnlock()
	for _, r := range c.Routes {
		if !r.TakesNATS() {
			continue
		}
		made := publishingOf(&r.Settings)
		made.NATS = r.Settings.NATS
		if l := before[r.Name]; l != nil && reflect.DeepEqual(l.made, made) {
			now[r.Name] = l
			continue
		}
		publishes := b.publishes(c.Name, r)
		if publishes == nil {
			continue // the routes are being stopped
		}
		now[r.Name] = &listener{name: r.Name, made: made, Listener: natsin.Start(natsin.Options{
			Route: r.Name, Conn: b.nats.Acquire(made.NATS.Server), Settings: made, Send: publishes.Send, Fit: b.Secrets.Text,
			Memory: b.Memory.Open("messages of NATS for route " + r.Name), Log: publishes.Log(),
		})}
	}
	for name, l := range before {
		if now[name] != l {
			over = append(over, l)
		}
	}
	b.mu.Lock()
	b.listeners = now
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), listenerTimeout)
	defer cancel()
	for _, l := range over {
		// A server that is told of both at once may have a message find neither.
		if next := now[l.name]; next != nil {
			next.Settle(ctx)
		}
		l.Stop(ctx)
	}
}

// stopNATS has no messages of NATS taken any more, and finishes those that came within ctx.
func (b *Bridge) stopNATS(ctx context.Context) {
	b.mu.Lock()
	listeners := b.listeners
	b.listeners = nil
	b.mu.Unlock()
	for _, l := range listeners {
		l.Stop(ctx)
	}
}

// publishes is what is published by on a route, nil where nothing is.
func (b *Bridge) publishes(bridge string, r *config.Route) *route.Route {
	now, done := context.WithCancel(context.Background())
	done() // a route that is not there is not waited for
	for _, part := range b.parts(bridge, r) {
		if part.wanted.Role.Publishes() {
			return b.Routes.Find(now, part.id)
		}
	}
	return nil
}

// natsProblems are what is wrong with NATS.
func (b *Bridge) natsProblems() status.Problems {
	list := b.nats.Problems()
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.config.Routes {
		if l := b.listeners[r.Name]; l != nil {
			list = append(list, l.Problems()...)
		}
	}
	return list
}
