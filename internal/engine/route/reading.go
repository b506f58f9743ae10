package route

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// reading is one reading of topics, for one link or for two of both directions that ask for the same. All that it
// uses is its own and none of it a link's: links come, change and go while it reads on.
type reading struct {
	set   *Set
	claim *claim // of the link for which it began
	key   string
	// component and link name the consumer's metrics.
	component, link string
	role            role.Role
	settings        settings.Link // of the link for which it began
	ask             *Ask          // of the link for which it began
	form            payload.Form
	log             *slog.Logger // writes to that of the link at which the reading's figures stand
	metrics         *telemetry.LinkMetrics
	trace           *tracing.Link
	access          *kafka.Access
	logging         atomic.Pointer[slog.Logger]
	payloads        atomic.Pointer[payloads] // nil where the log must not have them
	*consume.Consumer

	// readings.mu protects these two. users are the links that it reads for, the one whose credentials it uses
	// last.
	users    []*running
	security settings.Security

	mu        sync.RWMutex
	handle    *produce.Handle    // nil where nothing is produced
	publisher *produce.Publisher // of what a processor returns; nil where there is none
	// cluster and client are what handle was made with.
	cluster settings.Cluster
	client  settings.ProducerClient
}

// newReading begins to read what c asks for, as the member of its group that instance names.
func newReading(c *claim, instance string) (*reading, error) {
	r := c.running
	s := &reading{
		set: r.set, claim: c, ask: r.ask, key: c.key, component: r.id.Peer, link: r.id.Name, role: r.role, settings: r.current(), form: r.form,
		metrics: r.set.metrics.Link(r.id.Peer, r.id.Name),
		trace:   r.set.tracer.Link(r.id.Peer, r.id.Name, r.settings.Consumer.Group),
		users:   []*running{r},
	}
	s.settings.Consumer.InstanceID = instance
	s.security = s.settings.Cluster.Security
	s.logging.Store(r.log)
	s.log = slog.New(currentLog{now: &s.logging})
	var err error
	if s.access, err = kafka.NewAccess(s.settings.Cluster, s.log); err != nil {
		return nil, err
	}
	s.access.Watch(r.set.metrics.Client("consumer"))
	s.access.ConnectBy(r.set.connector)
	if _, err := s.produceAs(s.settings.Cluster, s.settings.Producer.Client); err != nil {
		return nil, err
	}
	s.choosePayloads()
	cfg := s.consumerConfig()
	cfg.Memory = r.set.budget.Open("records of link " + r.route.String())
	s.Consumer = consume.Start(cfg)
	return s, nil
}

// produces tells whether the reading stores records itself: dead letters, or what the component makes of records.
func (s *reading) produces() bool {
	return s.role == role.Process || s.settings.Delivery.DeadLetterTopic != ""
}

// produceAs has the reading produce with these settings from now on. It returns the handle that is to be released, nil
// where there is none.
func (s *reading) produceAs(cluster settings.Cluster, client settings.ProducerClient) (*produce.Handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.produces() || (s.handle != nil && client == s.client && reflect.DeepEqual(cluster, s.cluster)) {
		return nil, nil
	}
	handle, err := s.set.pool.Acquire(cluster, client)
	if err != nil {
		return nil, err
	}
	old := s.handle
	s.handle, s.cluster, s.client = handle, cluster, client
	if s.role == role.Process {
		s.publisher = produce.NewPublisher(handle, s.settings.Producer, s.settings.Create)
		s.publisher.Count(s.metrics.Stored)
	}
	return old, nil
}

// adopt takes over what the links of the reading say about things that can change while it runs, and the credentials
// security. It returns a handle that is to be released. readings.mu is held, and there is a user.
func (s *reading) adopt(security settings.Security) (*produce.Handle, error) {
	first := slices.MinFunc(s.users, func(a, b *running) int { return compareIDs(a.id, b.id) })
	s.logging.Store(first.log) // the status tells what a reading has logged at the same link as its figures
	s.choosePayloads()
	asked := first.current()
	asked.Cluster.Security = security
	old, err := s.produceAs(asked.Cluster, asked.Producer.Client)
	if err != nil || reflect.DeepEqual(security, s.security) {
		return old, err
	}
	if err := s.access.Update(security); err != nil {
		return old, err
	}
	s.security = security
	return old, nil
}

// choosePayloads lets the log have what records hold where all links of the reading allow it.
func (s *reading) choosePayloads() {
	if slices.ContainsFunc(s.users, func(r *running) bool { return r.payloads == nil }) {
		s.payloads.Store(nil)
		return
	}
	s.payloads.Store(&payloads{s.log})
}

func (s *reading) problems() status.Problems { return s.Status().Problems }

// delivery is what the reading lends to those who take its records.
func (s *reading) delivery() Delivery {
	return Delivery{Settings: &s.settings, Form: s.form, Trace: s.trace, Log: s.log}
}

func (s *reading) consumerConfig() consume.Config {
	cfg := consume.Config{
		Settings: s.settings, Access: s.access, Component: s.component,
		Produce: s.deadLetter, Limiter: s.set.limiter, Observer: s.metrics, Log: s.log,
	}
	if s.role.Batches() {
		cfg.Batch = loggedBatches{s.ask.Batch(s.delivery()), &s.payloads}
	} else {
		cfg.Deliverer = loggedDeliverer{s.ask.Deliverer(s.delivery()), &s.payloads}
	}
	if s.role == role.Process {
		cfg.Outputs = &consume.Outputs{Prepare: s.prepare, Produce: s.publishAll}
		cfg.TransactionalID = s.transactionalID()
	}
	return cfg
}

func (s *reading) producing() (*produce.Handle, *produce.Publisher) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.handle, s.publisher
}

// deadLetter stores a dead letter. The component's restrictions (allowed_topics, producer_partitions) are not those
// of dead letters, so it goes past the publisher.
func (s *reading) deadLetter(ctx context.Context, out record.Outgoing) error {
	handle, _ := s.producing()
	_, err := handle.Produce(ctx, out)
	return err
}

// prepare and publishAll go by the publisher of the moment; a rotation of credentials replaces it.
func (s *reading) prepare(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
	_, publisher := s.producing()
	return publisher.AppendPrepared(to, out)
}

func (s *reading) publishAll(ctx context.Context, outputs []record.Outgoing) error {
	began := time.Now()
	_, publisher := s.producing()
	_, errs := publisher.PublishAll(ctx, outputs)
	took := time.Since(began)
	var first error
	for _, err := range errs {
		s.metrics.Published(classOf(err), took)
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// end ends the reading within ctx.
func (s *reading) end(ctx context.Context) {
	s.Stop(ctx)
	handle, _ := s.producing()
	if handle == nil {
		return
	}
	if err := handle.Release(ctx); err != nil {
		s.log.Warn("records that were being produced were cut off by the end of reading", "error", err)
	}
}
