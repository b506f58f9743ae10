package consume

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// transactional tells whether outputs and offsets are committed together.
func (cfg *Config) transactional() bool {
	return cfg.Outputs != nil && cfg.Settings.Delivery.Transactions
}

// transaction is what of one partition is to be committed together. Only the committer uses it.
type transaction struct {
	dispatch.Finished
	commit commitOf
	open   bool // taken from the dispatcher and not committed yet
}

// commitTransaction commits the outputs and offsets of the given partitions in one transaction. s.committing is held.
//
// Records that were taken from the dispatcher stay with their partition until they are committed; meanwhile no more is
// taken, so that the bound on buffered bytes holds while Kafka refuses commits.
func (s *session) commitTransaction(ctx context.Context, only map[topicPartition]*assignment) error {
	going := s.takeFinished(only)
	if len(going) == 0 {
		return nil
	}
	if !s.oneByOne {
		err := s.commitTogether(ctx, going)
		// One partition with an output that Kafka never takes must not hold up the others.
		s.oneByOne = errors.Is(err, produce.ErrOutput)
		return err
	}
	var errs []error
	for tp, a := range going {
		errs = append(errs, s.commitTogether(ctx, map[topicPartition]*assignment{tp: a}))
	}
	err := errors.Join(errs...)
	s.oneByOne = errors.Is(err, produce.ErrOutput)
	return err
}

// takeFinished takes what is finished from the dispatcher, and returns the partitions that have something to commit.
func (s *session) takeFinished(only map[topicPartition]*assignment) map[topicPartition]*assignment {
	s.mu.Lock()
	defer s.mu.Unlock()
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
			if len(a.tx.Outputs) > 0 {
				// The outputs made room, and no record that is finished later may tell of that.
				signal(s.progress)
				signal(s.freed)
			}
		}
		if a.tx.open {
			var news bool
			a.tx.commit, news = s.commitAt(a, a.tx.Position)
			a.tx.open = news || len(a.tx.Outputs) > 0
		}
		if a.tx.open {
			going[tp] = a
		}
	}
	return going
}

// commitTogether commits what was taken of partitions in one transaction.
func (s *session) commitTogether(ctx context.Context, going map[topicPartition]*assignment) error {
	err := s.endTransaction(ctx, going)
	s.cfg.Observer.Committed(err)
	s.tooMuchMetadata(err) // then the next one has less
	if errors.Is(err, produce.ErrMaybeCommitted) {
		for tp, a := range going {
			if n := a.tx.GivenUp(); n > 0 {
				s.log.Warn("it is not known whether records were given up or moved to retry topics: their transaction may have been committed", "topic", tp.topic,
					"partition", tp.partition, "records", n, "up_to", a.tx.commit.offset)
			}
		}
	}
	if errors.Is(err, produce.ErrNotAborted) {
		s.fail(err)
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) && s.cfg.Settings.Create.Enabled {
		s.createOutputs(ctx, going)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	done := make([]dispatch.Finished, 0, len(going))
	for _, a := range going {
		a.tx.commit.taken()
		done = append(done, a.tx.Finished)
		a.tx = transaction{}
	}
	s.mu.Unlock()
	for i := range done {
		done[i].Committed()
	}
	return nil
}

func (s *session) endTransaction(ctx context.Context, going map[topicPartition]*assignment) error {
	var outputs []record.Outgoing
	for _, a := range going {
		outputs = append(outputs, a.tx.Outputs...)
	}
	if len(outputs) == 0 {
		// Offsets alone need no transaction.
		alone := make(commits, len(going))
		for tp, a := range going {
			alone[tp] = a.tx.commit
		}
		return s.send(ctx, alone)
	}
	byTopic := make(map[string]*kmsg.TxnOffsetCommitRequestTopic)
	for tp, a := range going {
		t := byTopic[tp.topic]
		if t == nil {
			t = &kmsg.TxnOffsetCommitRequestTopic{Topic: tp.topic}
			byTopic[tp.topic] = t
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = tp.partition, a.tx.commit.offset, a.tx.commit.epoch, a.tx.commit.text()
		t.Partitions = append(t.Partitions, p)
	}
	topics := make([]kmsg.TxnOffsetCommitRequestTopic, 0, len(byTopic))
	for _, t := range byTopic {
		topics = append(topics, *t)
	}
	began := time.Now()
	err := s.transactor.Commit(ctx, func() (produce.Member, error) { return s.memberOf(maps.All(going)) }, outputs, topics)
	bytes := 0
	for i := range outputs {
		bytes += outputs[i].Size()
	}
	s.cfg.Observer.Transaction(err, time.Since(began), len(outputs), bytes)
	return err
}

// settle settles, beside the first polls, what the link's last life has left open.
func (s *session) settle(ctx context.Context) {
	for told := false; ; told = true {
		attempt, cancel := context.WithTimeout(ctx, commitTimeout)
		err := s.transactor.Init(attempt)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if answer, ok := errors.AsType[*kerr.Error](err); ok && !answer.Retriable || errors.Is(err, produce.ErrNotAborted) {
			s.fail(err) // the producer is of no more use
			return
		}
		if !told {
			s.log.Warn("settling transactions that an earlier life may have left open fails; it is tried again", "error", err)
		}
		if !backoff.Sleep(ctx, errorPause) {
			return
		}
	}
}

// createOutputs creates the topics that outputs are for and that are missing, as publishing does.
func (s *session) createOutputs(ctx context.Context, going map[topicPartition]*assignment) {
	topics := make(map[string]struct{})
	for _, a := range going {
		for i := range a.tx.Outputs {
			topics[a.tx.Outputs[i].Topic] = struct{}{}
		}
	}
	details, err := s.adm.Metadata(ctx, slices.Collect(maps.Keys(topics))...)
	if err != nil {
		s.log.Warn("looking for the topics of outputs failed", "error", err)
		return
	}
	for topic := range topics {
		if !errors.Is(details.Topics[topic].Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err := kafka.CreateTopic(ctx, s.adm, topic, s.cfg.Settings.Create, s.log); err != nil {
			s.log.Warn("creating the topic of an output failed", "topic", topic, "error", err)
		}
	}
}
