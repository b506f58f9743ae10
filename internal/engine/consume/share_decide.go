package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// decide makes deliveries until there is something that the broker can be told.
func (s *shareSession) decide(soft context.Context, f *kgo.Record, r *record.Record) kgo.AckStatus {
	d := &s.cfg.Settings.Delivery
	deliveries := max(int(f.DeliveryCount()), 1)
	r.Attempt = attemptsBefore(r) + deliveries
	unavailable, unstored := 0, 0
	defer func() {
		if unavailable > 0 {
			s.wait(-1)
		}
		s.nothingUnstored(r)
	}()
	for {
		if soft.Err() != nil {
			return s.release(f, r, errStopped)
		}
		o, result := s.deliver(r)
		switch dispatch.Judge(o.Kind, dispatch.Circumstances{
			Attempt: deliveries, Limit: d.MaxAttempts, Stopping: soft.Err() != nil, GivenUp: result.GivenUp,
		}) {
		case dispatch.Finish:
			verdict, refused := s.finish(soft, f, r, o.Outputs)
			if !refused {
				return verdict
			}
			// As much as the topic, the component can be mended, which would make other outputs. The record is called again
			// here and not given back, which would count as a delivery.
			unstored++
			backoff.Sleep(soft, dispatch.Backoff(d, unstored, 0))
		case dispatch.Leave:
			return s.release(f, r, errStopped)
		case dispatch.GiveUp:
			return s.reject(f, r, r.Attempt, o.Err)
		case dispatch.Wait:
			// Holding the record costs no attempt; releasing it would: the broker counts deliveries and gives up on a
			// record after group.share.delivery.count.limit of them.
			if unavailable++; unavailable == 1 {
				s.wait(1)
			}
			backoff.Sleep(soft, dispatch.Probe(unavailable, o.After))
		default:
			if s.last(f) {
				return s.reject(f, r, r.Attempt, fmt.Errorf("%w (%d): %w", errLimit, s.limit, o.Err))
			}
			backoff.Sleep(soft, dispatch.Backoff(d, deliveries, o.After))
			return kgo.AckRelease
		}
	}
}

var (
	errLimit   = errors.New("the broker drops a record after so many deliveries (share.delivery.count.limit)")
	errStopped = errors.New("reading was stopped before there was a verdict")
)

// last tells whether the broker will not deliver a record again.
func (s *shareSession) last(f *kgo.Record) bool {
	return s.limit > 0 && int(f.DeliveryCount()) >= s.limit
}

// letterTime is how long the dead letter of a record may be waited for. Another delivery makes up for one that a stop
// cuts off; where there is none, the letter has more of the stop.
func (s *shareSession) letterTime(f *kgo.Record) context.Context {
	if s.last(f) {
		return s.lasting
	}
	return s.calls
}

// release gives a record back that has no verdict. Where the broker does not deliver it again it gets
// a dead letter, or at least a line that tells of it.
func (s *shareSession) release(f *kgo.Record, r *record.Record, cause error) kgo.AckStatus {
	if !s.last(f) {
		return kgo.AckRelease
	}
	attempts := attemptsBefore(r) + int(f.DeliveryCount())
	cause = fmt.Errorf("%w (%d): %w", errLimit, s.limit, cause)
	if s.letters.Store != nil && s.lasting.Err() == nil {
		return s.reject(f, r, attempts, cause)
	}
	s.cfg.Observer.RecordGivenUp(false)
	s.log.Error("a record was given back, and the broker delivers it no more", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset,
		"attempts", attempts, "reason", cause)
	return kgo.AckRelease
}

// deliver makes a call for one record. Components that take batches get batches of one: the broker, not we, decides
// which records come together, and each has an outcome of its own.
func (s *shareSession) deliver(r *record.Record) (record.Outcome, dispatch.CallResult) {
	var running dispatch.Running
	s.mu.Lock()
	s.running.Begin(&running, r, time.Now())
	s.mu.Unlock()
	outcomes, result := s.caller.Call(s.calls, s.deadlines, []*record.Record{r})
	s.mu.Lock()
	s.running.End(&running, &result, time.Now())
	s.mu.Unlock()
	if result.Reached || result.Unavailable != nil {
		s.setUnavailable(result.Unavailable)
	}
	return outcomes[0], result
}

// finish stores the outputs of a record, however long Kafka keeps them waiting, and accepts it then. There is no
// verdict where Kafka refuses one of them, so that they are never stored as things are.
func (s *shareSession) finish(soft context.Context, f *kgo.Record, r *record.Record, outputs []record.Outgoing) (verdict kgo.AckStatus,
	refused bool) {
	if len(outputs) == 0 {
		return kgo.AckAccept, false
	}
	if _, err := s.cfg.Outputs.PrepareAll(nil, outputs); err != nil {
		return s.reject(f, r, r.Attempt, err), false
	}
	for failures := 1; ; failures++ {
		err := s.cfg.Outputs.Produce(s.calls, outputs)
		switch {
		case err == nil:
			return kgo.AckAccept, false
		case s.calls.Err() != nil:
			return s.release(f, r, errStopped), false
		}
		s.noteUnstored(r, err)
		if produce.Refused(err) {
			return 0, true
		}
		if !backoff.Sleep(soft, dispatch.Backoff(&s.cfg.Settings.Delivery, failures, 0)) {
			return s.release(f, r, errStopped), false
		}
	}
}

// reject takes a record out of the group: to the dead-letter topic where there is one.
func (s *shareSession) reject(f *kgo.Record, r *record.Record, attempts int, cause error) kgo.AckStatus {
	log := s.log.With("topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempts", attempts, "reason", cause)
	switch {
	case s.letters.Store == nil:
		s.letters.Skipped(log)
	case !s.letters.Write(s.letterTime(f), r, attempts, cause, log):
		return s.release(f, r, errStopped)
	}
	return kgo.AckReject
}
