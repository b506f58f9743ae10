package request

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

const (
	// checkEvery is the time between looks at the reply topic while all is well, and so how long an answer in a
	// partition added just now may have to wait; checking is that while all is not well.
	checkEvery   = 2 * time.Second
	checkTimeout = 5 * time.Second
	// listTimeout is how long partitions that do not tell their end may hold up those that do.
	listTimeout = time.Second

	// The bounds of what is fetched at once, for each broker and for each partition. Kafka gives one batch more where
	// a single one is larger.
	fetchMaxBytes          = 2 << 20
	fetchMaxPartitionBytes = 1 << 20
	fetchMaxWait           = time.Second
	// minBatch is what a batch may decompress to at least, minHeld what all that is fetched may take.
	minBatch = 8 << 20
	minHeld  = 32 << 20
	// lookAfter is how long after its last failure a partition of which nothing has come is looked at.
	lookAfter = time.Second

	// clockMargin is how far the clock of whoever answers may be behind ours, for partitions whose end could not be
	// asked for at the start.
	clockMargin = 5 * time.Minute
)

var checking = backoff.Backoff{First: 50 * time.Millisecond, Most: time.Second}

// errRecreated ends a reader, which is followed by another.
var errRecreated = errors.New("the reply topic was deleted and created again")

// read reads the reply topic until the requester is stopped.
func (r *Requester) read() {
	defer close(r.done)
	defer r.cfg.Memory.Close()
	for again := false; ; again = true {
		rd, err := newReader(r, again)
		if err != nil {
			r.state.checked(false, &refusal{text: fmt.Sprintf("making a Kafka client: %v", err), err: err})
			<-r.ctx.Done()
			return
		}
		err = rd.run(r.ctx)
		rd.cl.Close()
		rd.fetched.Close()
		if r.ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("reading answers begins anew", "topic", rd.topic, "reason", err)
	}
}

// reader reads one incarnation of the reply topic. It is in no group: each copy sees all answers.
type reader struct {
	*Requester
	topic string
	cl    *kgo.Client
	adm   *kadm.Client
	began time.Time
	// fetched bounds what the client has fetched and is not looked at yet.
	fetched *kafka.Fetched
	// fromStart is for a topic that came after the first request: none of its answers may be passed over.
	fromStart bool
	kick      chan struct{} // has room for one token: look at the topic now

	// What is known of the topic; only their goroutine uses it.
	id    kadm.TopicID
	known map[int32]bool
	// lookedAt is when the last stable offsets were asked for.
	lookedAt time.Time

	positionsMu sync.Mutex
	// positions are from where the partitions are read next, as far as that is known.
	positions map[int32]kgo.EpochOffset
}

func newReader(r *Requester, fromStart bool) (*reader, error) {
	fetched, err := kafka.NewFetched(kafka.FetchLimits{
		Batch: max(minBatch, 2*r.cfg.MaxMessageBytes), Held: max(minHeld, 2*r.cfg.MaxMessageBytes), Setting: "max_message_bytes", Account: r.cfg.Memory,
	})
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(append(r.cfg.Access.Options(), fetched.Options()...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(fetchMaxWait),
		// We see and report lost records ourselves.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)...)
	if err != nil {
		return nil, err
	}
	return &reader{
		Requester: r, topic: r.cfg.Settings.ReplyTopic, cl: cl, fetched: fetched, adm: kadm.NewClient(cl), began: time.Now(),
		fromStart: fromStart, kick: make(chan struct{}, 1), known: make(map[int32]bool),
		positions: make(map[int32]kgo.EpochOffset),
	}, nil
}

// run reads until ctx ends or the topic is another.
func (rd *reader) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var polling sync.WaitGroup
	polling.Go(func() { rd.poll(ctx) })
	err := rd.watch(ctx)
	cancel()
	polling.Wait()
	return err
}

// watch looks at the topic again and again: it finds the place to read from, takes in partitions that are added, and
// tells what is wrong.
func (rd *reader) watch(ctx context.Context) error {
	failures := 0
	for {
		err := rd.check(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errRecreated) {
			rd.state.checked(false, err)
			return err
		}
		rd.state.checked(len(rd.known) > 0, err)
		next := checkEvery
		if err != nil {
			failures++
			next = checking.After(failures)
		} else {
			failures = 0
		}
		select {
		case <-time.After(next):
		case <-rd.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (rd *reader) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	details, err := rd.adm.Metadata(ctx, rd.topic)
	if err != nil {
		return err
	}
	topic, ok := details.Topics[rd.topic]
	switch {
	case !ok || errors.Is(topic.Err, kerr.UnknownTopicOrPartition):
		return rd.create(ctx)
	case topic.Err != nil:
		return topic.Err
	case rd.id != (kadm.TopicID{}) && topic.ID != rd.id:
		return errRecreated
	}
	if partition := rd.cfg.Settings.ReplyPartition; partition != record.AnyPartition {
		detail, ok := topic.Partitions[partition]
		if !ok {
			return &refusal{text: fmt.Sprintf("the topic %s (request_reply_topic) has no partition %d (request_reply_partition): it has %d",
				rd.topic, partition, len(topic.Partitions))}
		}
		topic.Partitions = kadm.PartitionDetails{partition: detail}
	}
	if err := rd.assign(ctx, topic); err != nil {
		return err
	}
	rd.id = topic.ID
	rd.look(ctx)
	if time.Since(rd.lookedAt) >= kafka.StableEvery {
		// Unreported, an open transaction shows as requests that time out.
		rd.state.stable.Look(ctx, rd.cl, map[string][]int32{rd.topic: topic.Partitions.Numbers()})
		rd.lookedAt = time.Now()
	}
	for _, p := range topic.Partitions.Sorted() {
		if p.Err != nil {
			return fmt.Errorf("partition %d: %w", p.Partition, p.Err)
		}
	}
	return nil
}

// look fetches from partitions that have failed and of which nothing has come since: one without answers does not say
// that it can be read again.
func (rd *reader) look(ctx context.Context) {
	for partition, since := range rd.state.failing(time.Now().Add(-lookAfter)) {
		place, ok := rd.position(partition)
		if !ok {
			// It is read from its start, and nothing of it has come yet.
			starts, err := rd.adm.ListStartOffsets(ctx, rd.topic)
			start, found := starts.Lookup(rd.topic, partition)
			if err != nil || !found || start.Err != nil {
				continue
			}
			place.Offset = start.Offset
		}
		found, err := kafka.LookAt(ctx, rd.cl, rd.topic, partition, place.Offset, true)
		if err == nil && found == kafka.FoundNothing {
			rd.state.fetchedSince(partition, since)
		}
	}
}

// create creates the topic, or says that it is not there.
func (rd *reader) create(ctx context.Context) error {
	c := rd.cfg.Create
	if !c.Enabled {
		return &refusal{
			text: fmt.Sprintf("the topic %s (request_reply_topic), where answers are read, does not exist or may not be seen: create it, or set create_topics=true", rd.topic),
			err:  kerr.UnknownTopicOrPartition,
		}
	}
	if want := rd.cfg.Settings.ReplyPartition; want > 0 && c.Partitions <= want {
		c.Partitions = want + 1
	}
	if err := kafka.CreateTopic(ctx, rd.adm, rd.topic, c, rd.cfg.Log); err != nil {
		return err
	}
	return kerr.LeaderNotAvailable // what the broker would say now
}

// assign gives the client the partitions that it does not read yet.
func (rd *reader) assign(ctx context.Context, topic kadm.TopicDetail) error {
	fresh := make(map[int32]kgo.Offset)
	for partition := range topic.Partitions {
		if !rd.known[partition] {
			fresh[partition] = kgo.NewOffset().AtStart()
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	// Partitions that are found later were added: they are read from their start, for an answer may be there already.
	if len(rd.known) == 0 && !rd.fromStart {
		if err := rd.atEnds(ctx, fresh); err != nil {
			return err
		}
	}
	for partition := range fresh {
		if len(rd.known) > 0 {
			rd.cfg.Log.Info("a partition was added to the topic of answers", "topic", rd.topic, "partition", partition)
		}
	}
	rd.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{rd.topic: fresh})
	for partition := range fresh {
		rd.known[partition] = true
	}
	return nil
}

// atEnds finds the ends of partitions. We ask for them here and do not leave that to the client, since we know then
// that requests may be sent.
func (rd *reader) atEnds(ctx context.Context, partitions map[int32]kgo.Offset) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	listed, err := rd.adm.ListCommittedOffsets(ctx, rd.topic)
	found := 0
	for partition := range partitions {
		end, ok := listed.Lookup(rd.topic, partition)
		switch {
		case ok && end.Err == nil:
			partitions[partition] = kgo.NewOffset().At(end.Offset)
			rd.setPosition(partition, kgo.EpochOffset{Epoch: -1, Offset: end.Offset})
			found++
		case ok && err == nil:
			err = fmt.Errorf("listing the end of partition %d: %w", partition, end.Err)
		}
		if !ok || end.Err != nil {
			// One partition without a leader must not hold up all requests. When it is back it may hold answers, which
			// time can tell from those of old.
			partitions[partition] = kgo.NewOffset().AfterMilli(rd.began.Add(-clockMargin).UnixMilli())
		}
	}
	if found > 0 {
		return nil
	}
	if err == nil {
		err = kerr.LeaderNotAvailable
	}
	return err
}
