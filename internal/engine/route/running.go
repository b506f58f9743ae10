package route

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/request"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// running is what one set of settings of a link has running.
type running struct {
	set      *Set
	route    *Route
	id       ID
	log      *slog.Logger
	metrics  *telemetry.LinkMetrics
	role     role.Role
	ask      *Ask
	settings settings.Link
	form     payload.Form // of the settings, and the same as long as the link runs
	watch    *watch       // nil where the component does not publish by the link
	trace    *tracing.Link
	payloads *payloads // nil where the log must not have them

	accesses []*kafka.Access // of clients that take up new credentials while they run; none comes after the start

	mu        sync.RWMutex
	handle    *produce.Handle    // nil where the component cannot publish by this link
	publisher *produce.Publisher // nil likewise
	requester *request.Requester
	reads     *reading
	unread    error // why nothing is read though the link asks for it
}

// start makes everything but the reading; see Route.apply.
func (l *Route) start(parsed *Ask) (*running, error) {
	r := &running{
		set: l.set, route: l, id: l.id, log: l.log, ask: parsed, role: parsed.Role, settings: parsed.Link, form: payload.FormOf(&parsed.Link),
		metrics:  l.set.metrics.Link(l.id.Peer, l.id.Name),
		trace:    l.set.tracer.Link(l.id.Peer, l.id.Name, parsed.Consumer.Group),
		payloads: newPayloads(l.log, parsed.LogPayloads),
	}
	if parsed.Publishes() {
		handle, err := l.set.pool.Acquire(parsed.Cluster, parsed.Producer.Client)
		if err != nil {
			return nil, err
		}
		r.handle = handle
		r.publisher = r.newPublisher(r.handle, &parsed.Link)
		if err := r.startRequester(); err != nil {
			return nil, errors.Join(err, r.handle.Release(context.Background()))
		}
		r.watch = watchPublishes(r.currentHandle, !parsed.Consumer.Enabled())
	}
	return r, nil
}

func (r *running) newPublisher(handle *produce.Handle, of *settings.Link) *produce.Publisher {
	p := produce.NewPublisher(handle, of.Producer, of.Create)
	p.Count(r.metrics.Stored)
	return p
}

func (r *running) startRequester() error {
	if r.settings.Request.ReplyTopic == "" {
		return nil
	}
	access, err := kafka.NewAccess(r.settings.Cluster, r.log)
	if err != nil {
		return err
	}
	access.Watch(r.set.metrics.Client("replies"))
	access.ConnectBy(r.set.connector)
	r.accesses = append(r.accesses, access)
	r.requester = request.Start(request.Config{
		Settings: r.settings.Request, Create: r.settings.Create, Access: access,
		MaxMessageBytes: int64(r.settings.Producer.Client.MaxMessageBytes),
		Memory:          r.set.budget.Open("answers for link " + r.route.String()),
		Publish:         r.publish, Observer: r.metrics, Log: r.log,
	})
	return nil
}

// publish produces by the publisher of the moment; a rotation of credentials replaces it.
func (r *running) publish(ctx context.Context, out record.Outgoing) (record.Position, error) {
	r.payloads.publishing(out)
	position, err := r.currentPublisher().Publish(ctx, out)
	r.watch.published(position.Topic, err)
	return position, err
}

func (r *running) currentPublisher() *produce.Publisher {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.publisher
}

func (r *running) currentHandle() *produce.Handle {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.handle
}

// current are the settings of the moment: credentials may have been exchanged.
func (r *running) current() settings.Link {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.settings
}

// reading is what reads for the link at the moment, nil where nothing does.
func (r *running) reading() *reading {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.reads
}

// setReading sets what reads for the link, and returns what did before.
func (r *running) setReading(now *reading) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.reads
	r.reads = now
	if now != nil {
		r.unread = nil
	}
	return before
}

// setUnread sets why nothing is read though the link asks for it; nil is that it comes. It tells whether that is new.
func (r *running) setUnread(why error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := why != nil && (r.unread == nil || r.unread.Error() != why.Error())
	r.unread = why
	return news
}

// rotate takes over settings that differ in nothing but credentials: membership in the group and records in flight
// stay. It reports false where more has changed.
func (r *running) rotate(parsed *settings.Link) bool {
	before, after := r.settings, *parsed
	before.Cluster.Security, after.Cluster.Security = settings.Security{}, settings.Security{}
	if !equalSettings(&before, &after) {
		return false
	}
	security := parsed.Cluster.Security
	var handle *produce.Handle
	if r.handle != nil {
		var err error
		if handle, err = r.set.pool.Acquire(parsed.Cluster, parsed.Producer.Client); err != nil {
			r.log.Error("the new credentials cannot be used for publishing", "error", err)
			return false
		}
	}
	if err := r.useCredentials(security); err != nil {
		if !errors.Is(err, kafka.ErrNewClientNeeded) {
			r.log.Error("the new credentials cannot be used", "error", err)
		}
		r.set.release(handle, r.log)
		return false
	}
	r.mu.Lock()
	old := r.handle
	r.settings = *parsed
	if handle != nil {
		r.handle = handle
		r.publisher = r.newPublisher(handle, parsed)
	}
	r.mu.Unlock()
	r.set.release(old, r.log)
	return true
}

// useCredentials has the clients of the link that run, and what reads for it, use other credentials.
func (r *running) useCredentials(security settings.Security) error {
	for _, a := range r.accesses {
		if err := a.Update(security); err != nil {
			return err
		}
	}
	return r.set.readings.rotate(r, security)
}

// release gives a handle back that another has taken the place of, if it is one.
func (s *Set) release(handle *produce.Handle, log *slog.Logger) {
	if handle == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.living, replaceTimeout)
	defer cancel()
	if err := handle.Release(ctx); err != nil {
		log.Warn("publishes were cut off", "error", err)
	}
}

// stopReading ends the link's part in what reads for it within ctx. The component can go on publishing.
func (r *running) stopReading(ctx context.Context) { r.set.readings.forget(ctx, r) }

// stop ends everything within ctx, what reads first.
func (r *running) stop(ctx context.Context) {
	r.stopReading(ctx)
	r.mu.RLock()
	requester, handle := r.requester, r.handle
	r.mu.RUnlock()
	if r.watch != nil {
		r.watch.stop()
	}
	if requester != nil {
		requester.Stop(ctx)
	}
	if handle != nil {
		if err := handle.Release(ctx); err != nil {
			r.log.Warn("publishes were cut off by the end of the link", "error", err)
		}
	}
}

func (r *running) problems() status.Problems {
	r.mu.RLock()
	reading, requester, unread := r.reads, r.requester, r.unread
	enabled := r.settings.Consumer.Enabled()
	r.mu.RUnlock()
	var list status.Problems
	switch {
	case unread != nil:
		list.Add(status.ProblemRefused, unread.Error())
	case reading != nil:
		list = append(list, reading.problems()...)
	case enabled:
		list.Add(status.ProblemStarting, "starting")
	}
	if requester != nil {
		list = append(list, requester.Problems()...)
	}
	if r.watch != nil {
		list = append(list, r.watch.problems()...)
	}
	return list
}

// equalSettings compares what links ask for. Regular expressions are compared by their text.
func equalSettings(a, b *settings.Link) bool {
	x, y := *a, *b
	if (x.Consumer.TopicPattern == nil) != (y.Consumer.TopicPattern == nil) {
		return false
	}
	if x.Consumer.TopicPattern != nil && x.Consumer.TopicPattern.String() == y.Consumer.TopicPattern.String() {
		x.Consumer.TopicPattern, y.Consumer.TopicPattern = nil, nil
	}
	return reflect.DeepEqual(x, y)
}
