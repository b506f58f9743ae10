package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// readTo is a place in the log of a partition: the next offset, and the leader epoch of the record before it.
type readTo struct {
	next  int64
	epoch int32
}

// partedTimeout bounds the question for where logs part.
const partedTimeout = 10 * time.Second

// place is where the partition was read to; known tells that a leader epoch goes with it.
func (a *assignment) place() (at readTo, known bool) {
	at = readTo{a.Next(), a.epoch}
	return at, at.next != dispatch.NotYet && at.epoch >= 0
}

// unsure tells whether the client is to be given a place of which it is not known that the leader's log has it.
// session.mu is held.
func (a *assignment) unsure() bool {
	at, known := a.place()
	return known && a.reposition && a.sure != at
}

// watchPlaces asks where the logs of leaders part from what was read, for partitions whose place is about to be given
// to the client. An unclean election puts other records at offsets that were read already. The client asks for that
// when a leader changes, and forgets the question, and its answer, when it is given a place.
func (s *session) watchPlaces(ctx context.Context) {
	for {
		select {
		case <-s.unsure:
			s.checkPlaces(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// checkPlaces asks once. What gets no answer is asked for again by the next attempt to give the client its place.
func (s *session) checkPlaces(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, partedTimeout)
	defer cancel()
	var question kadm.OffsetForLeaderEpochRequest
	asked := make(map[topicPartition]readTo)
	s.mu.Lock()
	for tp, a := range s.assigned {
		if a.unsure() {
			asked[tp], _ = a.place()
			question.Add(tp.topic, tp.partition, asked[tp].epoch)
		}
	}
	s.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	ends, err := s.adm.OffsetForLeaderEpoch(ctx, question)
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for tp, at := range asked {
		a := s.assigned[tp]
		if a == nil {
			continue
		}
		end, answered := ends[tp.topic][tp.partition]
		if !answered {
			end.Err = err
		}
		var refused *kerr.Error
		switch {
		case !answered && err == nil, end.Err != nil && !(errors.As(end.Err, &refused) && !refused.Retriable):
			continue // another leader may know, and is asked after a rest
		case end.Err == nil && end.EndOffset >= 0 && end.EndOffset < at.next:
			a.parted = &kgo.ErrDataLoss{
				Topic: tp.topic, Partition: tp.partition, ConsumedTo: at.next, ConsumedToEpoch: at.epoch,
				ResetTo: end.EndOffset, ResetToEpoch: end.LeaderEpoch,
			}
		default: // it has it, or cannot say, as brokers that are too old
			a.sure = at
		}
		known = true
	}
	if known && s.wakePoll != nil {
		s.wakePoll()
	}
}

// partedPlaces sets those partitions back of which it was found that the leader's log parts from what was read. It is
// for who polls alone.
func (s *session) partedPlaces() {
	var losses []*kgo.ErrDataLoss
	s.mu.Lock()
	for _, a := range s.assigned {
		loss := a.parted
		a.parted = nil
		// The client may have found it out, too.
		if loss != nil && (readTo{loss.ConsumedTo, loss.ConsumedToEpoch}) == (readTo{a.Next(), a.epoch}) {
			losses = append(losses, loss)
			a.sure = readTo{loss.ResetTo, loss.ResetToEpoch}
		}
	}
	s.mu.Unlock()
	for _, loss := range losses {
		s.lost(topicPartition{loss.Topic, loss.Partition}, loss)
	}
}
