package letters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/browse"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// notesBehind are the notes to be stored behind what was sent, by the results where these are known.
type notesBehind func([]record.Result) ([]kadm.Offset, error)

// sender sends letters and keeps notes of it.
type sender interface {
	// begin makes sure that nobody else has the notes, as far as it can.
	begin(context.Context) error
	// commit sends letters and stores the notes that behind makes. Where letters can be sent without the others, behind
	// is told of each what became of it, and the error is that of the notes alone.
	commit(ctx context.Context, out []record.Outgoing, behind notesBehind) error
	close() error
}

// beginTime bounds the beginning of a producer: what another has left open may have to be aborted first.
const beginTime = 30 * time.Second

func newSender(s *browse.Source, group string, o *Options) (sender, error) {
	switch {
	case o.DryRun:
		return nobody{}, nil
	case o.AtLeastOnce:
		producer := s.Settings.Producer
		producer.Client.Acks = settings.AcksAll
		handle, err := produce.NewPool(produce.Options{}).Acquire(s.Settings.Cluster, producer.Client)
		if err != nil {
			return nil, err
		}
		return &atLeastOnce{s, group, produce.NewPublisher(handle, producer, settings.CreateTopics{}, nil)}, nil
	}
	log := slog.New(slog.DiscardHandler)
	t, err := produce.NewTransactor(group, s.Access, s.Settings.Cluster, s.Settings.Producer.Client, log)
	if err != nil {
		return nil, fmt.Errorf("making a transactional producer: %w", err)
	}
	return &together{group, t}, nil
}

// nobody sends nothing.
type nobody struct{}

func (nobody) begin(context.Context) error { return nil }

func (nobody) commit(_ context.Context, _ []record.Outgoing, behind notesBehind) error {
	_, err := behind(nil)
	return err
}

func (nobody) close() error { return nil }

// together sends letters and notes in one transaction.
type together struct {
	group string
	t     *produce.Transactor
}

func (s *together) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	return s.t.Init(ctx)
}

func (s *together) commit(ctx context.Context, out []record.Outgoing, behind notesBehind) error {
	offsets, err := behind(nil)
	if err != nil {
		return err
	}
	byTopic := make(map[string]*kmsg.TxnOffsetCommitRequestTopic)
	for _, o := range offsets {
		t := byTopic[o.Topic]
		if t == nil {
			made := kmsg.NewTxnOffsetCommitRequestTopic()
			made.Topic = o.Topic
			t = &made
			byTopic[o.Topic] = t
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = o.Partition, o.At, o.LeaderEpoch, &o.Metadata
		t.Partitions = append(t.Partitions, p)
	}
	topics := make([]kmsg.TxnOffsetCommitRequestTopic, 0, len(byTopic))
	for _, t := range byTopic {
		topics = append(topics, *t)
	}
	for {
		began := time.Now()
		err := s.t.Commit(ctx, func() (produce.Member, error) { return produce.Alone(s.group), nil }, out, topics)
		// The next one goes in smaller batches. Time must be left to end it in.
		if end, bounded := ctx.Deadline(); !tooLargeTogether(err) || bounded && time.Until(end) < 3*time.Since(began) {
			return err
		}
	}
}

// tooLargeTogether tells that records were refused as one batch, and that nothing is left of their transaction.
func tooLargeTogether(err error) bool {
	_, ok := errors.AsType[*produce.OutputError](err)
	return ok && errors.Is(err, kerr.MessageTooLarge) &&
		!errors.Is(err, produce.ErrOutput) && !errors.Is(err, produce.ErrNotAborted)
}

func (s *together) close() error {
	s.t.Close()
	return nil
}

// atLeastOnce sends letters and stores the notes when they are acknowledged.
type atLeastOnce struct {
	s         *browse.Source
	group     string
	publisher *produce.Publisher
}

func (*atLeastOnce) begin(context.Context) error { return nil }

func (s *atLeastOnce) commit(ctx context.Context, out []record.Outgoing, behind notesBehind) error {
	offsets, err := behind(s.publisher.Send(ctx, out...))
	if err != nil || len(offsets) == 0 {
		return err
	}
	var all kadm.Offsets
	for _, o := range offsets {
		all.Add(o)
	}
	if err := s.s.Admin.CommitAllOffsets(ctx, s.group, all); err != nil {
		return fmt.Errorf("keeping notes in the offsets of group %s: %w", s.group, err)
	}
	return nil
}

func (s *atLeastOnce) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	if err := s.publisher.Release(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("closing the producer: %w", err)
	}
	return nil
}
