package route

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/consume"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/filter"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// reading is one reading of topics, for one link or for two of both directions that ask for the same. All that it
// uses is its own and none of it a link's: links come, change and go while it reads on.
type reading struct {
	shared *shared
	claim  *claim // for which it began
	// settings are those of claim, with the instance id as which it reads.
	settings settings.Link
	log      *slog.Logger // writes to that of the link at which the reading's figures stand
	metrics  *telemetry.LinkMetrics
	trace    *tracing.Link
	access   *kafka.Access
	logging  atomic.Pointer[slog.Logger]
	payloads atomic.Pointer[payloads] // nil where the log must not have them
	*consume.Consumer

	// filter says which records are handed over; nil hands over all.
	filter *filter.Filter
	// codec makes JSON of records; nil where there is no schema registry.
	codec *schema.Codec
	// receives is what the front-end has made to take the records.
	receives record.Receiver
	// publisher stores dead letters and what a processor returns; nil where there is neither.
	publisher *produce.Publisher

	// readings.mu protects these. users are the claims that it reads for, the one whose credentials it uses last, and
	// cluster and client what it produces with.
	users    []*claim
	security settings.Security
	cluster  settings.Cluster
	client   settings.ProducerClient
}

// newReading begins to read what c asks for, as the member of its group that instance names. readings.mu is held.
func newReading(shared *shared, c *claim, instance string) (*reading, error) {
	s := &reading{
		shared: shared, claim: c, settings: c.settings, users: []*claim{c},
		metrics: shared.Metrics.Link(c.id.Peer, c.id.Name),
		trace:   shared.Tracer.Link(c.id.Peer, c.id.Name, c.settings.Consumer.Group),
	}
	s.settings.Consumer.InstanceID = instance
	s.security = s.settings.Cluster.Security
	s.logging.Store(c.log)
	s.log = slog.New(currentLog{now: &s.logging})
	var err error
	if s.access, err = kafka.NewAccess(s.settings.Cluster, s.log); err != nil {
		return nil, err
	}
	if text := s.settings.Delivery.Filter; text != "" {
		if s.filter, err = filter.Compile(text); err != nil {
			return nil, fmt.Errorf("the filter of a reading: %w", err) // its settings were checked
		}
	}
	s.access.Watch(shared.Metrics.Client("consumer"))
	s.access.ConnectBy(shared.Connector)
	s.access.Redact(shared.Secrets)
	if s.codec, err = shared.newCodec(&s.settings, "values read by "+shared.Words.Link()+" "+c.name); err != nil {
		return nil, err
	}
	if _, err := s.produceAs(s.settings.Cluster, s.settings.Producer.Client); err != nil {
		s.codec.Close()
		return nil, err
	}
	s.choosePayloads()
	cfg := s.consumerConfig()
	cfg.Memory = shared.Memory.Open("records of " + shared.Words.Link() + " " + c.name)
	s.Consumer = consume.Start(cfg)
	return s, nil
}

// produces tells whether the reading stores records itself: dead letters, those that wait in retry topics, or what the
// component makes of records.
func (s *reading) produces() bool {
	d := &s.settings.Delivery
	return s.claim.wanted.Role == role.Process || d.DeadLetterTopic != "" || len(d.RetryTopics) > 0
}

// produceAs has the reading produce with these settings from now on. It returns the handle that is to be released, nil
// where there is none. readings.mu is held.
func (s *reading) produceAs(cluster settings.Cluster, client settings.ProducerClient) (*produce.Handle, error) {
	if !s.produces() || (s.publisher != nil && client == s.client && reflect.DeepEqual(cluster, s.cluster)) {
		return nil, nil
	}
	handle, err := s.shared.pool.Acquire(cluster, client)
	if err != nil {
		return nil, err
	}
	s.cluster, s.client = cluster, client
	if s.publisher != nil {
		return s.publisher.Use(handle), nil
	}
	s.publisher = produce.NewPublisher(handle, s.settings.Producer, s.settings.Create, s.metrics.Stored)
	return nil, nil
}

// adopt takes over what the links of the reading say about things that can change while it runs, and the credentials
// security. It returns a handle that is to be released. readings.mu is held, and there is a user.
func (s *reading) adopt(security settings.Security) (*produce.Handle, error) {
	first := slices.MinFunc(s.users, func(a, b *claim) int { return compareIDs(a.id, b.id) })
	s.logging.Store(first.log) // the status tells what a reading has logged at the same link as its figures
	s.choosePayloads()
	asked := first.settings
	asked.Cluster.Security = security
	old, err := s.produceAs(asked.Cluster, asked.Producer.Client)
	if err != nil || reflect.DeepEqual(security, s.security) {
		return old, err
	}
	if err := s.access.Update(security); err != nil {
		return old, err
	}
	if err := s.codec.Use(&security); err != nil {
		return old, err
	}
	s.security = security
	return old, nil
}

// choosePayloads lets the log have what records hold where all links of the reading allow it.
func (s *reading) choosePayloads() {
	if slices.ContainsFunc(s.users, func(c *claim) bool { return !c.wanted.Settings.LogPayloads }) {
		s.payloads.Store(nil)
		return
	}
	s.payloads.Store(&payloads{s.log})
}

// giveUpFunc stores the dead letter of a record that has counted as done.
type giveUpFunc = func(ctx context.Context, r *record.Record, attempts int, cause error) error

// delivery is what the reading lends to those who take its records.
func (s *reading) delivery(giveUp giveUpFunc) Delivery {
	d := Delivery{Settings: &s.settings, Form: payload.FormOf(&s.settings), Trace: s.trace, Log: s.log}
	if s.settings.Delivery.DeadLetterTopic != "" {
		d.GiveUp = func(ctx context.Context, r *record.Record, attempts int, cause error) error {
			return giveUp(ctx, r.Stored(), attempts, cause)
		}
	}
	return d
}

// receiver is what takes the records of the reading.
func (s *reading) receiver(giveUp giveUpFunc) record.Receiver {
	s.receives = s.claim.wanted.Receiver(s.delivery(giveUp))
	r := record.Receiver(loggedReceiver{fitReceiver{s.receives, s.shared.Secrets}, &s.payloads})
	if s.codec != nil && (s.filter == nil || !s.filter.AsksValue()) {
		r = decodes{r, s.codec, s.shared.Secrets} // of what is handed over alone
	}
	if s.filter != nil {
		r = filtered{Receiver: r, filter: s.filter, onError: s.settings.Delivery.OnFilterError, metrics: s.metrics, log: s.log}
	}
	if s.codec != nil && s.filter != nil && s.filter.AsksValue() {
		r = decodes{r, s.codec, s.shared.Secrets} // for the filter to look into
	}
	if s.settings.Delivery.Tombstones == settings.TombstonesSkip && !s.claim.wanted.Role.Batches() {
		r = skipsTombstones{r, s.log}
	}
	return r
}

func (s *reading) consumerConfig() consume.Config {
	cfg := consume.Config{
		Settings: s.settings, Access: s.access, Component: s.claim.id.Peer, Words: s.shared.Words,
		Batches: s.claim.wanted.Role.Batches(),
		Send:    s.send, Limiter: s.shared.Limiter, Observer: s.metrics, Secrets: s.shared.Secrets, Log: s.log,
	}
	letters := cfg
	cfg.Receiver = s.receiver(letters.GiveUp)
	if s.claim.wanted.Role == role.Process {
		cfg.Outputs = &dispatch.Outputs{Prepare: s.publisher.Prepare, Produce: s.publish}
		cfg.TransactionalID = s.transactionalID()
	}
	return cfg
}

// send stores dead letters and what waits in retry topics as they are: the component's restrictions (allowed_topics,
// producer_partitions) are not those of these.
func (s *reading) send(ctx context.Context, records ...record.Outgoing) []record.Result {
	return s.publisher.Send(ctx, records...)
}

// publish stores what a component has made of records, and returns the first error.
func (s *reading) publish(ctx context.Context, outputs []record.Outgoing) (first error) {
	began := time.Now()
	results := s.publisher.Publish(ctx, outputs...)
	took := time.Since(began)
	for i := range results {
		s.metrics.Published(classOf(results[i].Err), took)
		if first == nil {
			first = results[i].Err
		}
	}
	return first
}

// end ends the reading within ctx.
func (s *reading) end(ctx context.Context) {
	s.Stop(ctx)
	if c, closes := s.receives.(interface{ Close() }); closes {
		c.Close()
	}
	s.codec.Close()
	if s.publisher == nil {
		return
	}
	if err := s.publisher.Release(ctx); err != nil {
		s.log.Warn("records that were being produced were cut off by the end of reading", "error", err)
	}
}
