package consume

import (
	"context"
	"errors"
	"fmt"
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
	// alone has the partition committed without others, since one of its outputs may be what Kafka refuses. makers is how
	// many of the records that have outputs are tried at once then, 0 for all.
	alone  bool
	makers int
}

// parcel is what of a partition goes into one transaction.
type parcel struct {
	tp       topicPartition
	owner    *assignment
	finished dispatch.Finished
	commit   commitOf
}

// commitTransaction commits the outputs and offsets of the given partitions in one transaction. s.committing is held.
//
// Records that were taken from the dispatcher stay with their partition until they are committed; meanwhile no more is
// taken, so that the bound on buffered bytes holds while Kafka refuses commits.
func (s *session) commitTransaction(ctx context.Context, only map[topicPartition]*assignment) error {
	going := s.takeFinished(only)
	var together []parcel
	for tp, a := range going {
		if !a.tx.alone {
			together = append(together, parcel{tp, a, a.tx.Finished, a.tx.commit})
		}
	}
	var errs []error
	if len(together) > 0 {
		switch err := s.commitTogether(ctx, together); {
		case errors.Is(err, produce.ErrOutput):
			// It may be any of them, and must not hold up the others.
			for _, p := range together {
				p.owner.tx.alone = true
			}
		case err != nil:
			errs = append(errs, err)
		}
	}
	for tp, a := range going {
		if a.tx.alone {
			errs = append(errs, s.commitAlone(ctx, tp, a))
		}
	}
	return errors.Join(errs...)
}

// commitAlone commits what is taken of a partition. Where Kafka refuses an output, it commits what was made of the
// records before, and gives back to the dispatcher the record of that output, and all behind it.
func (s *session) commitAlone(ctx context.Context, tp topicPartition, a *assignment) error {
	for {
		p, rest := s.nextParcel(tp, a)
		began := time.Now()
		err := s.commitTogether(ctx, []parcel{p})
		made, refused := s.refusedMaker(&p, err)
		created := false
		if refused {
			created, err = s.createOutputs(ctx, &p.finished, err)
		}
		switch {
		case err == nil && !rest:
			return nil
		case err == nil:
			if a.tx.makers = 0; p.finished.Makers() > 1 {
				a.tx.makers = 1 // the one that seems to be refused comes next, and all behind it after that
			}
		case !refused || created:
			return err
		case p.finished.Makers() > 1:
			a.tx.makers = max(made, 1)
		case a.tx.Refuse(refusalOf(err)):
			a.tx = transaction{alone: true}
			return nil // it is told of as the record's
		default:
			return err // the partition is on its way out
		}
		// Time must be left to end a transaction in, or the producer is of no more use. The next commit goes on from here.
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) < 3*time.Since(began) {
			return err
		}
	}
}

// refusalOf is what of the failure of a transaction is about the output that Kafka refuses.
func refusalOf(err error) error {
	if output, found := errors.AsType[*produce.OutputError](err); found {
		return output
	}
	return err
}

// nextParcel is what of a partition is to be committed next. It tells whether there is more.
func (s *session) nextParcel(tp topicPartition, a *assignment) (p parcel, more bool) {
	p = parcel{tp, a, a.tx.Finished, a.tx.commit}
	if a.tx.makers == 0 || a.tx.makers >= p.finished.Makers() {
		return p, false
	}
	p.finished, _ = a.tx.Split(a.tx.makers)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.commit, _ = s.commitAt(a, p.finished.Position)
	return p, true
}

// refusedMaker tells whether a transaction failed because Kafka refuses one of its outputs for good. It says how many
// of the records that have outputs come before the one of which that output seems to be: it may have failed for
// another.
func (*session) refusedMaker(p *parcel, err error) (before int, refused bool) {
	if !errors.Is(err, produce.ErrOutput) {
		return 0, false
	}
	output, found := errors.AsType[*produce.OutputError](err)
	if !found {
		return 0, true
	}
	return p.finished.MakersBefore(output.Index), true
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
			a.tx.makers = 0
			if a.tx.Makers() > 0 {
				// The outputs made room, and no record that is finished later may tell of that.
				signal(s.progress)
				signal(s.freed)
			}
		}
		if a.tx.open {
			var news bool
			a.tx.commit, news = s.commitAt(a, a.tx.Position)
			a.tx.open = news || a.tx.Makers() > 0
		}
		if a.tx.open {
			going[tp] = a
		}
	}
	return going
}

// commitTogether commits what is taken of partitions in one transaction.
func (s *session) commitTogether(ctx context.Context, parcels []parcel) error {
	s.problems.setCommitting(true)
	err := s.endTransaction(ctx, parcels)
	s.problems.setCommitting(false)
	s.cfg.Observer.Committed(err)
	s.tooMuchMetadata(err) // then the next one has less
	if errors.Is(err, produce.ErrMaybeCommitted) {
		for i := range parcels {
			p := &parcels[i]
			if n := p.finished.GivenUp(); n > 0 {
				s.log.Warn("it is not known whether records were given up or moved to retry topics: their transaction may have been committed", "topic", p.tp.topic,
					"partition", p.tp.partition, "records", n, "up_to", p.commit.offset)
			}
		}
	}
	if errors.Is(err, produce.ErrNotAborted) {
		s.problems.setUnended(err)
		s.fail(err)
	}
	if err != nil {
		return err
	}
	s.problems.settled()
	s.mu.Lock()
	for i := range parcels {
		p := &parcels[i]
		p.commit.taken()
		if tx := &p.owner.tx; p.finished.Makers() < tx.Makers() {
			_, tx.Finished = tx.Split(p.finished.Makers())
			tx.commit, _ = s.commitAt(p.owner, tx.Position)
		} else {
			*tx = transaction{alone: tx.alone && p.finished.Makers() == 0}
		}
	}
	s.mu.Unlock()
	for i := range parcels {
		parcels[i].finished.Committed()
	}
	return nil
}

func (s *session) endTransaction(ctx context.Context, parcels []parcel) error {
	var outputs []record.Outgoing
	owners := make(map[topicPartition]*assignment, len(parcels))
	for i := range parcels {
		p := &parcels[i]
		outputs = p.finished.AppendOutputs(outputs)
		owners[p.tp] = p.owner
	}
	if len(outputs) == 0 {
		// Offsets alone need no transaction.
		alone := make(commits, len(parcels))
		for i := range parcels {
			alone[parcels[i].tp] = parcels[i].commit
		}
		return s.send(ctx, alone)
	}
	byTopic := make(map[string]*kmsg.TxnOffsetCommitRequestTopic)
	for i := range parcels {
		tp, commit := parcels[i].tp, parcels[i].commit
		t := byTopic[tp.topic]
		if t == nil {
			t = &kmsg.TxnOffsetCommitRequestTopic{Topic: tp.topic}
			byTopic[tp.topic] = t
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = tp.partition, commit.offset, commit.epoch, commit.text()
		t.Partitions = append(t.Partitions, p)
	}
	topics := make([]kmsg.TxnOffsetCommitRequestTopic, 0, len(byTopic))
	for _, t := range byTopic {
		topics = append(topics, *t)
	}
	began := time.Now()
	err := s.transactor.Commit(ctx, func() (produce.Member, error) { return s.memberOf(maps.All(owners)) }, outputs, topics)
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
			s.problems.setUnended(err)
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

// createOutputs creates the topics that outputs are for and that are missing, as publishing does, where the failure of
// their transaction is about that. It tells whether there is one now that was not there. The failure that it returns
// says why the topic that it is about could not be created.
func (s *session) createOutputs(ctx context.Context, f *dispatch.Finished, failure error) (created bool, because error) {
	if !errors.Is(failure, kerr.UnknownTopicOrPartition) || !s.cfg.Settings.Create.Enabled {
		return false, failure
	}
	topics := make(map[string]struct{})
	outputs := f.AppendOutputs(nil)
	for i := range outputs {
		topics[outputs[i].Topic] = struct{}{}
	}
	details, err := s.adm.Metadata(ctx, slices.Collect(maps.Keys(topics))...)
	if err != nil {
		s.log.Warn("looking for the topics of outputs failed", "error", err)
		return false, failure
	}
	output, _ := errors.AsType[*produce.OutputError](failure)
	because = failure
	for topic := range topics {
		if !errors.Is(details.Topics[topic].Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err := kafka.CreateTopic(ctx, s.adm, topic, s.cfg.Settings.Create, s.log); err != nil {
			_, text := produce.WhyNotCreated(s.cfg.Access, err)
			s.log.Warn("creating the topic of an output failed", "topic", topic, "error", text)
			if output != nil && output.Topic == topic {
				because = fmt.Errorf("producing outputs: %w", output.Because(text))
			}
			continue
		}
		created = true
	}
	return created, because
}
