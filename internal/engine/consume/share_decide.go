package consume

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// decide makes deliveries until there is a verdict that the broker can be told.
func (s *shareSession) decide(soft context.Context, f *kgo.Record, r *record.Record) kgo.AckStatus {
	d := &s.cfg.Settings.Delivery
	before := attemptsBefore(r) + max(int(f.DeliveryCount()), 1)
	knocks := 0
	defer func() {
		if knocks > 0 {
			s.knock(-1)
		}
	}()
	for {
		if soft.Err() != nil {
			return s.release(f, r, errStopped)
		}
		r.Attempt = before
		verdict, err := s.deliver(r)
		switch {
		case verdict == record.Done:
			if !errors.Is(err, record.ErrSkipped) {
				s.setUnavailable(nil)
			}
			return kgo.AckAccept
		case s.calls.Err() != nil:
			return s.release(f, r, errStopped)
		case verdict != record.Reject && soft.Err() != nil:
			return s.release(f, r, errStopped) // the stop may be what it failed of
		case verdict != record.Reject && errors.Is(err, record.ErrUnavailable):
			// Holding the record costs no attempt; releasing it would: the broker counts deliveries and gives up on a
			// record after group.share.delivery.count.limit of them.
			s.setUnavailable(err)
			if knocks++; knocks == 1 {
				s.knock(1)
			}
			if !sleep(soft, min(50*time.Millisecond<<min(knocks, 5), time.Second)) {
				return s.release(f, r, errStopped)
			}
			continue
		case verdict == record.Reject || d.MaxAttempts > 0 && int(f.DeliveryCount()) >= d.MaxAttempts:
			s.setUnavailable(nil)
			return s.reject(f, r, before, err)
		case s.last(f):
			s.setUnavailable(nil)
			return s.reject(f, r, before, fmt.Errorf("%w (%d): %w", errLimit, s.limit, err))
		default:
			s.setUnavailable(nil)
			back := min(d.RetryBackoff<<min(max(int(f.DeliveryCount())-1, 0), 16), d.RetryBackoffMax)
			sleep(soft, back/2+rand.N(back/2+1))
			return kgo.AckRelease
		}
	}
}

var (
	errLimit   = errors.New("the broker drops a record after so many deliveries (share.delivery.count.limit)")
	errStopped = errors.New("the link was stopped before there was a verdict")
)

// last tells whether the broker will not deliver a record again.
func (s *shareSession) last(f *kgo.Record) bool {
	return s.limit > 0 && int(f.DeliveryCount()) >= s.limit
}

// release gives a record back that has no verdict. Where the broker does not deliver it again, that is its end: it gets a
// dead letter, or at least a line that tells of it.
func (s *shareSession) release(f *kgo.Record, r *record.Record, cause error) kgo.AckStatus {
	if !s.last(f) {
		return kgo.AckRelease
	}
	attempts := attemptsBefore(r) + int(f.DeliveryCount())
	cause = fmt.Errorf("%w (%d): %w", errLimit, s.limit, cause)
	if s.bury != nil && s.calls.Err() == nil {
		return s.reject(f, r, attempts, cause)
	}
	s.cfg.Observer.Buried(false)
	s.log.Error("a record was given back, and the broker delivers it no more", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset,
		"attempts", attempts, "cause", cause)
	return kgo.AckRelease
}

func (s *shareSession) deliver(r *record.Record) (record.Verdict, error) {
	if s.cfg.Limiter != nil {
		if err := s.cfg.Limiter.Acquire(s.calls, 1); err != nil {
			return record.Retry, err
		}
		defer s.cfg.Limiter.Release(1)
	}
	ctx, cancel := context.WithTimeout(s.calls, s.cfg.Settings.Delivery.HandleTimeout)
	defer cancel()
	if r.Attempt > 1 {
		s.cfg.Observer.Repeated()
	}
	began := time.Now()
	var running dispatch.Running
	s.mu.Lock()
	s.running.Begin(&running, r, began)
	s.mu.Unlock()
	verdict, err := s.handOver(ctx, r)
	if s.calls.Err() == nil {
		err = dispatch.AtDeadline(ctx, err, s.cfg.Settings.Delivery.HandleTimeout)
	}
	outcome := dispatch.OutcomeOf(s.calls, verdict, err)
	s.mu.Lock()
	s.running.End(&running)
	switch outcome {
	case dispatch.OutcomeDone:
		s.running.Worked(time.Now())
	case dispatch.OutcomeRetry, dispatch.OutcomeReject:
		s.running.Failed(r, err, began, time.Now())
	}
	s.mu.Unlock()
	s.cfg.Observer.Delivered(outcome, time.Since(began))
	return verdict, err
}

// handOver delivers one record. Components that take batches get batches of one: the broker, not we, decides which
// records come together, and each has a verdict of its own.
func (s *shareSession) handOver(ctx context.Context, r *record.Record) (record.Verdict, error) {
	if s.cfg.Batch == nil {
		return s.cfg.Deliverer.Deliver(ctx, r)
	}
	s.cfg.Observer.Batched(1)
	outcomes, err := s.cfg.Batch.DeliverBatch(ctx, []*record.Record{r})
	if err != nil {
		return record.Retry, err
	}
	if len(outcomes) != 1 {
		return record.Retry, fmt.Errorf("the component gave %d results for one record", len(outcomes))
	}
	o := outcomes[0]
	if o.Verdict != record.Done || len(o.Outputs) == 0 {
		return o.Verdict, o.Err
	}
	for _, out := range o.Outputs {
		if _, err := s.cfg.Outputs.Prepare(nil, out); err != nil {
			return record.Reject, fmt.Errorf("an output for topic %s cannot be produced: %w", out.Topic, err)
		}
	}
	if err := s.cfg.Outputs.Produce(ctx, o.Outputs); err != nil {
		return record.Retry, fmt.Errorf("producing outputs: %w", err)
	}
	return record.Done, nil
}

// reject takes a record out of the group: to the dead-letter topic where there is one.
func (s *shareSession) reject(f *kgo.Record, r *record.Record, attempts int, cause error) kgo.AckStatus {
	log := s.log.With("topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempts", attempts, "cause", cause)
	if s.bury == nil {
		s.cfg.Observer.Buried(false)
		log.Warn("a record was rejected and is skipped: no dead_letter_topic is set")
		return kgo.AckReject
	}
	for {
		err := s.bury(s.calls, r, attempts, cause)
		s.mu.Lock()
		s.deadLetter = err
		s.mu.Unlock()
		if err == nil {
			s.cfg.Observer.Buried(true)
			log.Warn(status.DeadLettered, "dead_letter_topic", s.cfg.Settings.Delivery.DeadLetterTopic)
			return kgo.AckReject
		}
		log.Error("dead-lettering a record failed; the record waits", "error", err)
		if !sleep(s.calls, s.cfg.Settings.Delivery.RetryBackoffMax/2) {
			return s.release(f, r, err)
		}
	}
}
