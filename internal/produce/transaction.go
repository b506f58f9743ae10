package produce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"messaging-kafka/internal/kafka"
	"messaging-kafka/internal/record"
	"messaging-kafka/internal/settings"
)

// transactionTimeout is when brokers abort a transaction whose producer is gone. Until then nobody can read the
// partitions' offsets, so it is short; a producer with the same id that comes sooner aborts it at once.
const transactionTimeout = 10 * time.Second

// Transactor stores records and a group's offsets together or not at all (KIP-98, KIP-447). It is one transactional
// producer; its methods are called by one goroutine at a time.
type Transactor struct {
	id     string
	kgo    *kgo.Client
	access *kafka.Access
}

// NewTransactor makes a transactional producer. Another one with the same id, in this process or elsewhere, is fenced
// off as soon as this one makes its first transaction.
func NewTransactor(id string, access *kafka.Access, cluster settings.Cluster, producer settings.ProducerClient, log *slog.Logger) (*Transactor, error) {
	producer.Acks, producer.Idempotent = settings.AcksAll, true
	opts, err := producerOptions(cluster, producer)
	if err != nil {
		return nil, err
	}
	// Offsets are added the way of all brokers since 0.11 (AddOffsetsToTxn, then TxnOffsetCommit), which works under
	// the transaction protocol of KIP-890 as well. Newer versions of the request would need the client's own knowledge
	// of which of the two protocols is in use.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), 4)
	opts = append(append(access.Options(), opts...),
		kgo.TransactionalID(id), kgo.TransactionTimeout(transactionTimeout), kgo.MaxVersions(versions))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	log.Debug("transactional producer made", "transactional_id", id)
	return &Transactor{id: id, kgo: cl, access: access}, nil
}

// Member is a group's member, by which the broker tells whether offsets are still its to commit.
type Member struct {
	Group, MemberID string
	Generation      int32
	InstanceID      string // "" for a dynamic member
}

// ErrNotAborted says that a transaction failed and could not be aborted either: whether it was committed is not known.
// A new [Transactor] with the same id settles that before it begins.
var ErrNotAborted = errors.New("the end of the transaction is not known")

// Commit stores outputs and offsets in one transaction. With any error but [ErrNotAborted] nothing of it can be read.
func (t *Transactor) Commit(ctx context.Context, member Member, outputs []record.Outgoing, offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	if err := t.kgo.BeginTransaction(); err != nil {
		return fmt.Errorf("%w: beginning: %w", ErrNotAborted, err)
	}
	err := t.produce(ctx, outputs)
	if err == nil {
		err = t.addOffsets(ctx, member, offsets)
	}
	if err == nil {
		if err = t.kgo.EndTransaction(ctx, kgo.TryCommit); err == nil {
			return nil
		}
		return fmt.Errorf("%w: committing: %w", ErrNotAborted, err)
	}
	if abortErr := t.kgo.EndTransaction(ctx, kgo.TryAbort); abortErr != nil {
		return fmt.Errorf("%w: aborting (%w) after: %w", ErrNotAborted, abortErr, err)
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		t.kgo.PurgeTopicsFromProducing(topicsOf(outputs)...) // see recreations
	}
	return err
}

func topicsOf(records []record.Outgoing) []string {
	var topics []string
	for i := range records {
		if topic := records[i].Topic; !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

func (t *Transactor) produce(ctx context.Context, outputs []record.Outgoing) error {
	failed := kgo.AbortingFirstErrPromise(t.kgo)
	converted := make([]kgo.Record, len(outputs))
	for i := range outputs {
		convert(&outputs[i], &converted[i])
		t.kgo.Produce(ctx, &converted[i], failed.Promise())
	}
	if err := failed.Err(); err != nil {
		return fmt.Errorf("producing outputs: %s: %w", t.access.Explain(err).Text, err)
	}
	return nil
}

// addOffsets makes the offsets part of the transaction. The group's coordinator refuses them when the member has lost
// its partitions, which fails the transaction: that is what keeps two members from both having an effect.
func (t *Transactor) addOffsets(ctx context.Context, m Member, offsets []kmsg.TxnOffsetCommitRequestTopic) error {
	id, epoch, err := t.kgo.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("asking for the producer id: %w", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = t.id, id, epoch, m.Group
	err = retryConcurrent(ctx, func() error {
		resp, err := add.RequestWith(ctx, t.kgo)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return fmt.Errorf("adding the group %s to the transaction: %w", m.Group, err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.id, id, epoch
	req.Group, req.MemberID, req.Generation = m.Group, m.MemberID, m.Generation
	if m.InstanceID != "" {
		req.InstanceID = &m.InstanceID
	}
	req.Topics = offsets
	resp, err := req.RequestWith(ctx, t.kgo)
	if err != nil {
		return fmt.Errorf("committing offsets in the transaction: %w", err)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("committing the offset of %s/%d in the transaction: %w", topic.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

const (
	concurrentWait  = 20 * time.Millisecond
	concurrentTries = 100
)

// retryConcurrent repeats a request while the coordinator is still ending the transaction before.
func retryConcurrent(ctx context.Context, request func() error) error {
	for try := 1; ; try++ {
		err := request()
		if !errors.Is(err, kerr.ConcurrentTransactions) || try == concurrentTries {
			return err
		}
		select {
		case <-time.After(concurrentWait):
		case <-ctx.Done():
			return err
		}
	}
}

// Close ends the producer. A transaction that is under way is left to the broker.
func (t *Transactor) Close() { t.kgo.Close() }
