package route

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
)

// Options are what the routes of a [Set] share.
type Options struct {
	Log     *slog.Logger
	Metrics *telemetry.Metrics
	// Tracer may be nil: there are no spans then.
	Tracer *tracing.Tracer
	// Secrets are taken out of all that the set tells; routes add their own, see [Route.Hide].
	Secrets *redact.Redactor
	// Limiter bounds the calls of all routes together; nil is without such a bound.
	Limiter *semaphore.Weighted
	// Memory is what records and answers are taken from, nil without a bound. ProcessLimit bounds the process, for the
	// status.
	Memory       *memory.Budget
	ProcessLimit memory.ProcessLimit
	// Resident asks the machine how many bytes the process has taken, for the status; nil is 0. What runs in virtual
	// time asks no machine.
	Resident func() int64
	// Words are what routes are called in what is told.
	Words status.Words
	// Process tells this copy of the program from all others, and is the same after a restart on the same machine.
	Process []string
	// Connector makes the connections to Kafka; nil is the machine's network.
	Connector kafka.Connector
}

// Set holds routes. Its methods may be called by many goroutines at once.
type Set struct {
	*shared
	readings readings
	observer observer

	mu      sync.RWMutex
	routes  map[ID]*Route
	stopped bool
	came    chan struct{}  // closed, and made anew, when a route comes
	units   sync.WaitGroup // the goroutines of the routes

	cutOff context.CancelFunc
	// observed ends the observer and waits for it.
	observed func()
}

// shared is what all routes of a set use. It does not know them.
type shared struct {
	Options
	pool    *produce.Pool
	schemas *schema.Pool
	pauses  pauses
	// living ends with the time that a stop has: routes that end without one, dropped or replaced, have no more.
	living context.Context
}

// releaser returns what gives handles back that others have taken the place of, nil where there are none.
func releaser(log *slog.Logger, handles ...*produce.Handle) func(context.Context) {
	handles = slices.DeleteFunc(handles, func(h *produce.Handle) bool { return h == nil })
	if len(handles) == 0 {
		return nil
	}
	return func(ctx context.Context) {
		for _, handle := range handles {
			if err := handle.Release(ctx); err != nil {
				log.Warn("publishes were cut off", "error", err)
			}
		}
	}
}

// NewSet returns an empty set. [Set.Close] ends it.
func NewSet(o Options) *Set {
	living, cutOff := context.WithCancel(context.Background())
	shared := &shared{Options: o, living: living, pool: produce.NewPool(produce.Options{
		Logger: o.Log, Hooks: []kgo.Hook{o.Metrics.Client("producer")}, Connector: o.Connector, Secrets: o.Secrets,
	})}
	shared.schemas = schema.NewPool(o.Connector, o.Log)
	s := &Set{
		shared: shared, cutOff: cutOff,
		readings: readings{shared: shared, claims: make(map[*claim]bool), ended: make(chan struct{})},
		routes:   make(map[ID]*Route),
		observer: observer{started: time.Now()},
		came:     make(chan struct{}),
	}
	s.observed = s.startObserving()
	return s
}

// Open returns the route of an id, which it makes where there is none; nil once the set stops. [Route.Apply] or
// [Route.Refuse] follows.
func (s *Set) Open(id ID, label Label) *Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	r := s.routes[id]
	if r == nil {
		r = newRoute(s, id, label)
		s.routes[id] = r
		close(s.came)
		s.came = make(chan struct{})
		s.units.Go(r.run)
	}
	return r
}

// Drop ends a route in the background.
func (s *Set) Drop(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.routes[id]; r != nil {
		delete(s.routes, id)
		r.stop(s.living, nil)
	}
}

// Find returns the route of an id. For one that is not there yet it waits until ctx ends; nil is that none has come.
func (s *Set) Find(ctx context.Context, id ID) *Route {
	for {
		s.mu.RLock()
		r, came, stopped := s.routes[id], s.came, s.stopped
		s.mu.RUnlock()
		if r != nil || stopped {
			return r
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil
		}
	}
}

// Problems are what is wrong with the routes, each with the name of its route before it. Routes that end are well.
func (s *Set) Problems() status.Problems {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.stopped {
		return nil
	}
	var list status.Problems
	for _, id := range sortedIDs(s.routes) {
		r := s.routes[id]
		for _, problem := range r.problems() {
			list = append(list, status.Problem{Kind: problem.Kind, Text: fmt.Sprintf("%s %s: %s", s.Words.Link(), r, problem.Text)})
		}
	}
	return list
}

// Stop ends all routes within ctx. The order matters: handlers that are being finished still publish, perhaps by
// another route than the one that reads. So no producer ends, and routes can be used, until no record is with a
// receiver any more.
func (s *Set) Stop(ctx context.Context) { s.StopWith(ctx, func() {}) }

// StopWith is [Set.Stop] for a front-end that has something to end in between: between is called when no route reads
// any more, and routes can be used until it returns.
func (s *Set) StopWith(ctx context.Context, between func()) {
	defer context.AfterFunc(ctx, s.cutOff)()
	s.readings.hurry(ctx)
	var reading sync.WaitGroup
	unread := make(chan struct{}) // closed when no route reads any more
	s.mu.Lock()
	s.stopped = true
	for _, r := range s.routes {
		reading.Add(1)
		r.stop(ctx, func() {
			reading.Done()
			<-unread // bounded: the end of reading has ctx, and so has what comes between
		})
	}
	s.mu.Unlock()
	reading.Wait()
	between()
	close(unread)
	s.units.Wait() // bounded likewise
	s.mu.Lock()
	clear(s.routes)
	s.mu.Unlock()
}

// Close ends what the set does besides its routes, which [Set.Stop] has ended.
func (s *Set) Close() {
	s.cutOff()
	s.observed()
}

// current are the routes of the moment.
func (s *Set) current() map[ID]*Route {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.routes)
}

// fit makes problems fit to be told.
func (s *shared) fit(problems status.Problems) status.Problems {
	for i := range problems {
		problems[i].Text = s.Secrets.Text(problems[i].Text)
	}
	return problems
}

// fitReasons does so with why records are dead letters.
func (s *shared) fitReasons(reasons []status.Reason) []status.Reason {
	for i := range reasons {
		reasons[i].Text, reasons[i].Topic = s.Secrets.Text(reasons[i].Text), s.Secrets.Value(reasons[i].Topic)
	}
	return reasons
}

// fitEvents does so with what the log told.
func (s *shared) fitEvents(events []status.Event) []status.Event {
	for i := range events {
		events[i].Text, events[i].Topic = s.Secrets.Text(events[i].Text), s.Secrets.Value(events[i].Topic)
	}
	return events
}
