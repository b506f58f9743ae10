package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"messaging-kafka/internal/dispatch"
	"messaging-kafka/internal/produce"
	"messaging-kafka/internal/record"
)

// transactional tells whether outputs and offsets are committed together.
func (cfg *Config) transactional() bool {
	return cfg.Outputs != nil && cfg.Settings.Delivery.Transactions
}

func (cfg *Config) batch() *dispatch.Batch {
	if cfg.Batch == nil {
		return nil
	}
	b := cfg.Settings.Delivery.Batch
	return &dispatch.Batch{Deliverer: cfg.Batch, MaxRecords: b.MaxRecords, MaxBytes: b.MaxBytes, MaxWait: b.MaxWait}
}

func (cfg *Config) produceOutputs() func(context.Context, []record.Outgoing) error {
	if cfg.Outputs == nil {
		return nil
	}
	return cfg.Outputs.Produce
}

func (cfg *Config) checkOutput() func(record.Outgoing) error {
	if cfg.Outputs == nil {
		return nil
	}
	return func(out record.Outgoing) error {
		_, err := cfg.Outputs.Prepare(out)
		return err
	}
}

// transaction is what of one partition is to be committed together. Only the committer uses it.
type transaction struct {
	dispatch.Finished
	open bool // taken from the dispatcher and not committed yet
}

// stopGrace is how long a transaction that is being committed when the session stops may take to end.
const stopGrace = 150 * time.Millisecond

// graceful returns a context that outlasts ctx by a little, for what is better ended than cut off.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	stop := context.AfterFunc(ctx, func() {
		sleep(longer, stopGrace)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

// commitTransaction commits the outputs and offsets of the given partitions in one transaction. s.committing is held.
//
// What has been taken from the dispatcher stays with its partition until it is committed; meanwhile no more is taken,
// so that the bound on buffered bytes holds while Kafka refuses commits.
func (s *session) commitTransaction(ctx context.Context, only map[topicPartition]*assignment) error {
	s.mu.Lock()
	if only == nil {
		only = s.assigned
	}
	going := make(map[topicPartition]*assignment)
	for tp, a := range only {
		if s.assigned[tp] != a {
			continue
		}
		if !a.tx.open {
			a.tx.Finished, a.tx.open = a.TakeFinished()
		}
		if a.tx.open && a.tx.Offset == a.committed && len(a.tx.Outputs) == 0 {
			a.tx.open = false
		}
		if a.tx.open {
			going[tp] = a
		}
	}
	s.mu.Unlock()
	if len(going) == 0 {
		return nil
	}
	var outputs []record.Outgoing
	for _, a := range going {
		for _, out := range a.tx.Outputs {
			prepared, err := s.cfg.Outputs.Prepare(out)
			if err != nil {
				return fmt.Errorf("preparing an output for topic %s: %w", out.Topic, err)
			}
			outputs = append(outputs, prepared...)
		}
	}
	err := s.endTransaction(ctx, going, outputs)
	s.cfg.Observer.Committed(err)
	if err != nil {
		if errors.Is(err, produce.ErrNotAborted) {
			s.fail(err)
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range going {
		a.setCommitted(a.tx.Offset)
		a.tx = transaction{}
	}
	return nil
}

func (s *session) endTransaction(ctx context.Context, going map[topicPartition]*assignment, outputs []record.Outgoing) error {
	if len(outputs) == 0 {
		// Offsets alone need no transaction.
		offsets := make(map[string]map[int32]kgo.EpochOffset)
		metas := make(map[topicPartition]commitMetadata)
		for tp, a := range going {
			if offsets[tp.topic] == nil {
				offsets[tp.topic] = make(map[int32]kgo.EpochOffset)
			}
			offsets[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: a.tx.Epoch, Offset: a.tx.Offset}
			metas[tp] = a.meta
		}
		return s.send(ctx, offsets, metas)
	}
	member := produce.Member{Group: s.cfg.Settings.Consumer.Group, InstanceID: s.cfg.Settings.Consumer.InstanceID}
	member.MemberID, member.Generation = s.cl.GroupMetadata()
	byTopic := make(map[string]*kmsg.TxnOffsetCommitRequestTopic)
	for tp, a := range going {
		t := byTopic[tp.topic]
		if t == nil {
			t = &kmsg.TxnOffsetCommitRequestTopic{Topic: tp.topic}
			byTopic[tp.topic] = t
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = tp.partition, a.tx.Offset, a.tx.Epoch
		if text := a.meta.String(); text != "" {
			p.Metadata = &text
		}
		t.Partitions = append(t.Partitions, p)
	}
	topics := make([]kmsg.TxnOffsetCommitRequestTopic, 0, len(byTopic))
	for _, t := range byTopic {
		topics = append(topics, *t)
	}
	began := time.Now()
	err := s.transactor.Commit(ctx, member, outputs, topics)
	bytes := 0
	for i := range outputs {
		bytes += outputs[i].Size()
	}
	s.cfg.Observer.Transaction(err, time.Since(began), len(outputs), bytes)
	return err
}
