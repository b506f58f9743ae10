package route

import (
	"context"
	"crypto/sha256"
	"fmt"
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

// subscriptions are the readings of the provider, and what links ask to be read. A component may be linked in both
// directions with the same topic, as users of the original provider do who add a link of the usual direction: that is
// one reading for two links, not two members of one group in one process.
type subscriptions struct {
	mu     sync.Mutex
	open   []*subscription // those that end as well, until they have: they have no users
	claims map[*running]*claim
	// shutdown bounds the ends of all once the provider stops; nil before.
	shutdown context.Context
}

// subscription is one reading of topics, for one link or for two of both directions that ask for the same. All that it
// uses is its own and none of it a link's: links come, change and go while it reads on.
type subscription struct {
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

	// subscriptions.mu protects these two. users are the links that it reads for, the one whose credentials it uses
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

// subscriptionKey is equal for links that ask for the same records, from the same brokers, delivered to the same
// component in the same way.
func subscriptionKey(r *running) string {
	return fmt.Sprintf("%s|%s|%s|%s", r.id.Peer, r.id.Name, r.role.Delivery(), r.settings.Reading())
}

// newSubscription begins to read what c asks for, as the member of its group that instance names.
func newSubscription(c *claim, instance string) (*subscription, error) {
	r := c.running
	s := &subscription{
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
func (s *subscription) produces() bool {
	return s.role == role.Process || s.settings.Delivery.DeadLetterTopic != ""
}

// produceAs has the reading produce with these settings from now on. It returns the handle that is to be released, nil
// where there is none.
func (s *subscription) produceAs(cluster settings.Cluster, client settings.ProducerClient) (*produce.Handle, error) {
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
// security. It returns a handle that is to be released. subscriptions.mu is held, and there is a user.
func (s *subscription) adopt(security settings.Security) (*produce.Handle, error) {
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
func (s *subscription) choosePayloads() {
	if slices.ContainsFunc(s.users, func(r *running) bool { return r.payloads == nil }) {
		s.payloads.Store(nil)
		return
	}
	s.payloads.Store(&payloads{s.log})
}

// read has r read what it asks for, or not, in view of what other links read and ask for: with others who ask for the
// same; not at all where one that comes before r would get part of the records in another way; and not yet while what
// stands against it ends.
func (s *subscriptions) read(ctx context.Context, r *running) {
	mine := s.register(r)
	if mine == nil {
		return
	}
	s.mu.Lock()
	clash := s.clashOf(mine)
	sub := r.reading()
	if clash == nil && sub == nil && s.free(mine) {
		old, err := s.join(mine)
		s.mu.Unlock()
		r.set.release(old, r.log)
		if err != nil {
			r.log.Error("reading cannot begin", "error", err)
			r.setUnread(err)
		}
		return
	}
	again := sub != nil && clash == nil && s.wanted(sub)
	s.mu.Unlock()
	switch {
	case again:
		r.log.Info("reading begins anew as another member of the group", "group_instance_id", mine.settings.Consumer.InstanceID)
		s.leave(ctx, r)
		r.route.signal()
	case clash != nil:
		if r.setUnread(clash) {
			r.log.Warn("the link's topics are not read for it", "cause", clash)
		}
		s.leave(ctx, r)
	case sub == nil:
		r.setUnread(nil) // it is read when what stands against it has ended
	}
}

// claim is what a link asks to read.
type claim struct {
	*running
	key      string
	settings settings.Link
}

// register notes what r asks for, and has those look again whom it concerns. It returns nil where r reads nothing.
func (s *subscriptions) register(r *running) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine := s.claims[r]; mine != nil || !r.settings.Consumer.Enabled() {
		return mine
	}
	mine := &claim{running: r, key: subscriptionKey(r), settings: r.current()}
	for _, other := range s.claims {
		if other.sameName(mine) {
			other.route.signal()
		}
		switch text, certain := mine.clash(other); {
		case certain:
			other.route.signal()
		case text != "":
			r.log.Warn("records are divided between links", "cause", fmt.Sprintf("link %s %s", other.route, text))
		}
	}
	if s.claims == nil {
		s.claims = make(map[*running]*claim)
	}
	s.claims[r] = mine
	return mine
}

// forget ends r's part in what reads for it, within ctx, and what it asks for.
func (s *subscriptions) forget(ctx context.Context, r *running) {
	s.mu.Lock()
	delete(s.claims, r)
	s.wake()
	s.mu.Unlock()
	s.leave(ctx, r)
}

// wake has those look again who do not read what they ask for. It is called with mu held.
func (s *subscriptions) wake() {
	for r := range s.claims {
		if r.reading() == nil {
			r.route.signal()
		}
	}
}

// clash says in words why c and other cannot both read as they ask.
func (c *claim) clash(other *claim) (text string, certain bool) {
	if c.key == other.key {
		return "", false
	}
	return c.settings.Clash(&other.settings, c.sameName(other))
}

// clashOf returns why c must not read: another link stands against it that comes before. Which one that is must not
// depend on which came first, or copies of the provider would come to different ends. It is called with mu held.
func (s *subscriptions) clashOf(c *claim) error {
	for _, other := range s.claims {
		if compareIDs(other.id, c.id) >= 0 {
			continue
		}
		if text, certain := c.clash(other); certain {
			return fmt.Errorf("link %s %s", other.route, text)
		}
	}
	return nil
}

// free tells whether no reading is open, or still ends, that c cannot read beside. It is called with mu held.
func (s *subscriptions) free(c *claim) bool {
	for _, sub := range s.open {
		if _, certain := c.clash(sub.claim); certain || s.memberAs(c, sub) || (sub.key == c.key && len(sub.users) == 0) {
			return false
		}
	}
	return true
}

// join begins what c asks for, or has it share what is read already. It returns a handle that is to be released. It is
// called with mu held.
func (s *subscriptions) join(c *claim) (*produce.Handle, error) {
	r := c.running
	i := slices.IndexFunc(s.open, func(sub *subscription) bool { return sub.key == c.key })
	if i < 0 {
		sub, err := newSubscription(c, s.instance(c))
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, sub)
		r.setSubscription(sub)
		return nil, nil
	}
	sub := s.open[i]
	sub.users = slices.Insert(sub.users, 0, r) // its credentials are those of another link, which work
	r.setSubscription(sub)
	r.log.Info("the component's link in the other direction reads the same already: both share it")
	old, err := sub.adopt(sub.security)
	if err != nil {
		sub.log.Error("reading goes on with the settings that it has for what it produces", "error", err)
	}
	return old, nil
}

// instance is the instance id as which what c asks for is to be read. Two links of both directions that read together
// have one that is the same whichever of them is there or comes first, or a restart would leave the old one behind as a
// member that keeps its partitions from being read until its session is over. Where they read different things, the
// second has one of its own. It is called with mu held.
func (s *subscriptions) instance(c *claim) string {
	consumer := &c.settings.Consumer
	id := consumer.InstanceID
	if consumer.CommonInstanceID != "" && !c.role.Batches() {
		id = consumer.CommonInstanceID
	}
	first := c
	for _, other := range s.claims {
		if other.role.Batches() || compareIDs(other.id, first.id) >= 0 || !c.sameName(other) {
			continue
		}
		switch {
		case other.key == c.key && consumer.CommonInstanceID == "":
			first, id = other, other.settings.Consumer.InstanceID
		case other.key != c.key && other.settings.Consumer.CommonInstanceID == id:
			return consumer.InstanceID
		}
	}
	return id
}

func (c *claim) sameName(other *claim) bool {
	return c.id.Peer == other.id.Peer && c.id.Name == other.id.Name
}

// memberAs tells whether what c asks for is to be read as the member that sub is. It is called with mu held.
func (s *subscriptions) memberAs(c *claim, sub *subscription) bool {
	id := sub.settings.Consumer.InstanceID
	return id != "" && sub.key != c.key && sub.settings.Consumer.Group == c.settings.Consumer.Group && id == s.instance(c)
}

// wanted tells whether another link that asks for something else is to be the member that sub is. It is called with mu
// held.
func (s *subscriptions) wanted(sub *subscription) bool {
	for _, other := range s.claims {
		if s.memberAs(other, sub) {
			return true
		}
	}
	return false
}

// leave ends r's part in what reads for it; the last link ends that within ctx.
func (s *subscriptions) leave(ctx context.Context, r *running) {
	s.mu.Lock()
	sub := r.setSubscription(nil)
	if sub == nil {
		s.mu.Unlock()
		return
	}
	i := slices.Index(sub.users, r)
	sub.users = slices.Delete(sub.users, i, i+1)
	if len(sub.users) > 0 {
		old, err := sub.adopt(sub.users[len(sub.users)-1].current().Cluster.Security)
		s.mu.Unlock()
		if err != nil {
			sub.log.Error("reading goes on with the credentials of a link that is gone", "error", err)
		}
		r.set.release(old, sub.log)
		return
	}
	if s.shutdown != nil {
		sub.Hurry(s.shutdown)
	}
	s.mu.Unlock()
	sub.end(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(other *subscription) bool { return other == sub })
	s.wake()
}

// hurry has the ends of links that were deleted or replaced just before give way to a shutdown: what they have finished is
// committed and their groups are left in the shutdown's time.
func (s *subscriptions) hurry(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown = ctx
	for _, sub := range s.open {
		if len(sub.users) == 0 {
			sub.Hurry(ctx)
		}
	}
}

// rotate has r's reading, if it has one, use the new credentials of r.
func (s *subscriptions) rotate(r *running, security settings.Security) error {
	s.mu.Lock()
	sub := r.reading()
	if sub == nil {
		s.mu.Unlock()
		return nil
	}
	old, err := sub.adopt(security)
	if err == nil {
		i := slices.Index(sub.users, r)
		sub.users = append(slices.Delete(sub.users, i, i+1), r)
	}
	s.mu.Unlock()
	r.set.release(old, sub.log)
	return err
}

func (s *subscription) problems() status.Problems { return s.Status().Problems }

// delivery is what the reading lends to those who take its records.
func (s *subscription) delivery() Delivery {
	return Delivery{Settings: &s.settings, Form: s.form, Trace: s.trace, Log: s.log}
}

func (s *subscription) consumerConfig() consume.Config {
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

func (s *subscription) producing() (*produce.Handle, *produce.Publisher) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.handle, s.publisher
}

// deadLetter stores a dead letter. The component's restrictions (allowed_topics, producer_partitions) are not those
// of dead letters, so it goes past the publisher.
func (s *subscription) deadLetter(ctx context.Context, out record.Outgoing) error {
	handle, _ := s.producing()
	_, err := handle.Produce(ctx, out)
	return err
}

// prepare and publishAll go by the publisher of the moment; a rotation of credentials replaces it.
func (s *subscription) prepare(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error) {
	_, publisher := s.producing()
	return publisher.AppendPrepared(to, out)
}

func (s *subscription) publishAll(ctx context.Context, outputs []record.Outgoing) error {
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

// transactionalID is the same after a restart on the same host, so that the transaction that a killed process left
// open is aborted at once and not at its time-out; and different for each copy. Only one link can have a reading with
// transactions: processors are linked in one direction.
func (s *subscription) transactionalID() string {
	h := sha256.New()
	for _, part := range append(slices.Clip(s.set.process), s.users[0].route.String()) {
		fmt.Fprintf(h, "%q", part)
	}
	return fmt.Sprintf("%s.%x", s.settings.Consumer.Group, h.Sum(nil)[:6])
}

// end ends the reading within ctx.
func (s *subscription) end(ctx context.Context) {
	s.Stop(ctx)
	handle, _ := s.producing()
	if handle == nil {
		return
	}
	if err := handle.Release(ctx); err != nil {
		s.log.Warn("records that were being produced were cut off by the end of reading", "error", err)
	}
}

// currentLog is a handler that writes to the log of the moment.
type currentLog struct {
	now  *atomic.Pointer[slog.Logger]
	with []func(slog.Handler) slog.Handler // what was added, in this order
}

// Enabled implements slog.Handler.
func (h currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now.Load().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h currentLog) Handle(ctx context.Context, r slog.Record) error {
	to := h.now.Load().Handler()
	for _, with := range h.with {
		to = with(to)
	}
	return to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h currentLog) WithGroup(name string) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h currentLog) and(with func(slog.Handler) slog.Handler) slog.Handler {
	h.with = append(slices.Clip(h.with), with)
	return h
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
