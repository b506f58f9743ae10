package provider

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"messaging-kafka/internal/consume"
	"messaging-kafka/internal/kafka"
	"messaging-kafka/internal/lattice"
	"messaging-kafka/internal/produce"
	"messaging-kafka/internal/record"
	"messaging-kafka/internal/request"
	"messaging-kafka/internal/role"
	"messaging-kafka/internal/settings"
	"messaging-kafka/internal/status"
	"messaging-kafka/internal/telemetry"
	"messaging-kafka/internal/tracing"
)

// running is what one set of settings of a link has running.
type running struct {
	p        *Provider
	id       lattice.LinkID
	log      *slog.Logger
	metrics  *telemetry.LinkMetrics
	role     role.Role
	settings settings.Link
	form     form   // of the settings, and the same as long as the link runs
	watch    *watch // nil where the component does not publish by the link
	trace    *tracing.Link
	payloads *payloads // nil where the log must not have them

	mu           sync.RWMutex
	handle       *produce.Handle    // nil where the link does not produce
	publisher    *produce.Publisher // nil where the component cannot publish by this link
	requester    *request.Requester
	subscription *subscription
	accesses     []*kafka.Access // of clients that take up new credentials while they run
}

// start makes everything but the subscription; see link.apply.
func (l *link) start(parsed *ask) (*running, error) {
	r := &running{
		p: l.p, id: l.id, log: l.log, role: parsed.Role, settings: parsed.Link, form: formOf(&parsed.Link),
		metrics:  l.p.metrics.Link(l.id.Peer, l.id.Name),
		trace:    l.p.tracer.Link(l.id.Peer, l.id.Name, parsed.Consumer.Group),
		payloads: newPayloads(l.log, parsed.LogPayloads),
	}
	if parsed.Produces() || parsed.Delivery.DeadLetterTopic != "" {
		handle, err := l.p.pool.Acquire(parsed.Cluster, parsed.Producer.Client)
		if err != nil {
			return nil, err
		}
		r.handle = handle
	}
	if parsed.Role == role.Process {
		r.publisher = r.newPublisher(r.handle, &parsed.Link)
	}
	if parsed.Publishes() {
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
	access.Watch(r.p.metrics.Client("replies"))
	r.accesses = append(r.accesses, access)
	r.requester = request.Start(request.Config{
		Settings: r.settings.Request, Create: r.settings.Create, Access: access,
		Publish: r.publish, Observer: r.metrics, Log: r.log,
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

// subscribe begins to consume, or joins in with a link of the same component that consumes the same already.
func (r *running) subscribe() {
	if !r.settings.Consumer.Enabled() {
		if r.id.Direction == lattice.AsSource {
			r.log.Warn("the link names no topic: nothing will be delivered")
		}
		return
	}
	s, err := r.p.subscriptions.join(r)
	if err != nil {
		r.log.Error("consuming cannot begin", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscription = s
}

// deliverer hands records to the link's component.
func (r *running) deliverer() record.Deliverer {
	return &deliverer{
		component: r.p.calls.Component(r.id.Peer, r.id.Name), replyTopic: r.settings.Delivery.ReplyTopic,
		form: r.form, skipTombstones: r.settings.Delivery.Tombstones == settings.TombstonesSkip, trace: r.trace, log: r.log,
	}
}

// deadLetter stores a dead letter. The component's restrictions (allowed_topics, producer_partitions) are not those
// of dead letters, so it goes past the publisher.
func (r *running) deadLetter(ctx context.Context, out record.Outgoing) error {
	_, err := r.currentHandle().Produce(ctx, out)
	return err
}

func (r *running) consumerConfig(access *kafka.Access) consume.Config {
	cfg := consume.Config{
		Settings: r.settings, Access: access, Component: r.id.Peer,
		Produce: r.deadLetter, Limiter: r.p.limiter, Observer: r.metrics, Log: r.log,
	}
	switch r.role {
	case role.Handle, role.Process:
		calls := r.p.records
		if r.settings.Delivery.Batch.Binary == settings.BinaryBase64 {
			calls = calls.WithBase64()
		}
		cfg.Batch = &batchDeliverer{calls: calls, component: r.id.Peer, link: r.id.Name, process: r.role == role.Process, trace: r.trace}
	default:
		cfg.Deliverer = r.deliverer()
	}
	if r.payloads != nil && cfg.Batch != nil {
		cfg.Batch = loggedBatches{cfg.Batch, r.payloads}
	} else if r.payloads != nil {
		cfg.Deliverer = loggedDeliverer{cfg.Deliverer, r.payloads}
	}
	if r.role == role.Process {
		cfg.Outputs = &consume.Outputs{Prepare: r.prepare, Produce: r.publishAll}
		cfg.TransactionalID = r.transactionalID()
	}
	return cfg
}

// prepare and publishAll go by the publisher of the moment, as publish does.
func (r *running) prepare(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
	return r.currentPublisher().AppendPrepared(to, out)
}

func (r *running) publishAll(ctx context.Context, outputs []record.Outgoing) error {
	began := time.Now()
	_, errs := r.currentPublisher().PublishAll(ctx, outputs)
	took := time.Since(began)
	var first error
	for _, err := range errs {
		r.metrics.Published(classOf(err), took)
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// transactionalID is the same after a restart on the same host, so that the transaction that a killed process left
// open is aborted at once and not at its time-out; and different for each copy.
func (r *running) transactionalID() string {
	h := sha256.New()
	for _, part := range []string{r.p.data.HostID, r.p.data.ProviderKey, r.id.String()} {
		fmt.Fprintf(h, "%q", part)
	}
	return fmt.Sprintf("%s.%x", r.settings.Consumer.Group, h.Sum(nil)[:6])
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
		if handle, err = r.p.pool.Acquire(parsed.Cluster, parsed.Producer.Client); err != nil {
			r.log.Error("the new credentials cannot be used for publishing", "error", err)
			return false
		}
	}
	if err := r.updateAccesses(security); err != nil {
		if !errors.Is(err, kafka.ErrNewClientNeeded) {
			r.log.Error("the new credentials cannot be used", "error", err)
		}
		r.release(handle)
		return false
	}
	r.mu.Lock()
	old := r.handle
	r.settings = *parsed
	if handle != nil {
		r.handle = handle
		if r.publisher != nil {
			r.publisher = r.newPublisher(handle, parsed)
		}
	}
	r.mu.Unlock()
	r.release(old)
	return true
}

func (r *running) updateAccesses(security settings.Security) error {
	r.mu.RLock()
	accesses := r.accesses
	if r.subscription != nil {
		accesses = append(accesses[:len(accesses):len(accesses)], r.subscription.access)
	}
	r.mu.RUnlock()
	for _, a := range accesses {
		if err := a.Update(security); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) release(handle *produce.Handle) {
	if handle == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.p.living, replaceTimeout)
	defer cancel()
	if err := handle.Release(ctx); err != nil {
		r.log.Warn("publishes were cut off", "error", err)
	}
}

// stopReading ends the subscription within ctx. The component can go on publishing.
func (r *running) stopReading(ctx context.Context) {
	r.mu.Lock()
	subscription := r.subscription
	r.subscription = nil
	r.mu.Unlock()
	if subscription != nil {
		r.p.subscriptions.leave(ctx, r, subscription)
	}
}

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
	subscription, requester := r.subscription, r.requester
	enabled := r.settings.Consumer.Enabled()
	r.mu.RUnlock()
	var list status.Problems
	switch {
	case subscription != nil:
		list = append(list, subscription.problems()...)
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
