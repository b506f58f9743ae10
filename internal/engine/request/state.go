package request

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// refusal is an error that will not pass by itself: requests need not wait for it.
type refusal struct {
	text string
	err  error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.err }

// state is what requests and the operator know of the reader. Its methods may be called by many goroutines at once.
type state struct {
	topic  string
	access *kafka.Access
	stable kafka.StableOffsets

	mu      sync.Mutex
	changed chan struct{} // closed with each change
	// positioned tells that the reader has its place: what is answered from now on is read.
	positioned bool
	check      error // of the last look at the topic
	// fetches are why partitions are not read, each until it is known that it is: a fetch brings records or finds none.
	fetches map[int32]fetchFailure
}

// fetchFailure is why a partition is not read.
type fetchFailure struct {
	err error
	at  time.Time
}

func newState(topic string, access *kafka.Access) *state {
	return &state{topic: topic, access: access, changed: make(chan struct{}), fetches: make(map[int32]fetchFailure)}
}

// checked notes the result of a look at the topic.
func (s *state) checked(positioned bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positioned, s.check = positioned, err
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *state) fetchFailed(partition int32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches[partition] = fetchFailure{err, time.Now()}
}

func (s *state) fetched(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fetches, partition)
}

// failing returns the partitions that have failed before a time, with when they did.
func (s *state) failing(before time.Time) map[int32]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	failing := make(map[int32]time.Time)
	for partition, f := range s.fetches {
		if f.at.Before(before) {
			failing[partition] = f.at
		}
	}
	return failing
}

// fetchedSince notes that a partition can be read, if it has not failed again since a time.
func (s *state) fetchedSince(partition int32, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.fetches[partition]; ok && f.at.Equal(since) {
		delete(s.fetches, partition)
	}
}

// wait returns nil when answers can be received. Its error is a refusal, or that of ctx.
func (s *state) wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		refused := s.refusal()
		positioned, changed := s.positioned, s.changed
		s.mu.Unlock()
		switch {
		case refused != nil:
			return refused
		case positioned:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusal makes what is wrong with the topic an error for requests, if it does not pass by itself. s.mu is held.
func (s *state) refusal() *refusal {
	if refused, ok := errors.AsType[*refusal](s.check); ok {
		return refused
	}
	if answer, ok := errors.AsType[*kerr.Error](s.check); ok && !answer.Retriable {
		return &refusal{text: s.explain(s.check), err: s.check}
	}
	return nil
}

func (s *state) explain(err error) string {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.text
	}
	return fmt.Sprintf("reading answers in %s (request_reply_topic): %s", s.topic, s.access.Explain(err).Text)
}

func (s *state) problems() status.Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list status.Problems
	if s.check != nil {
		list.Add(status.ProblemReplies, s.explain(s.check))
	}
	for _, partition := range slices.Sorted(maps.Keys(s.fetches)) {
		list.Add(status.ProblemReplies, s.explain(s.fetches[partition].err))
	}
	for _, standing := range s.stable.OpenTransactions(time.Now()) {
		list.Add(status.ProblemReplies, fmt.Sprintf("reading answers (request_reply_topic): %s", &standing))
	}
	if !s.positioned && len(list) == 0 {
		list.Add(status.ProblemStarting, fmt.Sprintf("finding the end of %s (request_reply_topic), from where answers are read", s.topic))
	}
	return list
}
