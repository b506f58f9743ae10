package dispatch

import (
	"context"
	"log/slog"
	"sync"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// DeadLetters writes the dead letters of records that no further delivery can help, and tells of what becomes of these.
type DeadLetters struct {
	// Store stores a dead letter and returns when the broker has acknowledged it; nil where there is no topic for them.
	Store    func(ctx context.Context, r *record.Record, attempts int, cause error) error
	Delivery *settings.Delivery
	Observer Observer

	storing
}

// storing knows whether what is to be stored before a record is finished waits for that, and why.
type storing struct {
	mu      sync.Mutex
	waiting int   // that could not be stored yet
	err     error // the last reason
}

// Write stores a dead letter, however long Kafka keeps it waiting, and tells of it. It returns false where ctx ends
// first.
func (l *DeadLetters) Write(ctx context.Context, r *record.Record, attempts int, cause error, log *slog.Logger) bool {
	stored := l.until(ctx, l.Delivery, func() error { return l.Store(ctx, r, attempts, cause) }, func(err error) {
		log.Error("dead-lettering a record failed; the record waits",
			"dead_letter_topic", l.Delivery.DeadLetterTopic, "error", err)
	})
	if stored {
		l.Written(log)
	}
	return stored
}

// until stores something, however often that fails, which is told each time. It returns false where ctx ends first.
func (s *storing) until(ctx context.Context, d *settings.Delivery, store func() error, failed func(error)) bool {
	w := waiting{of: s}
	defer w.note(nil)
	for failures := 1; ; failures++ {
		err := store()
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		}
		failed(err)
		w.note(err)
		if !backoff.Sleep(ctx, Backoff(d, failures, 0)) {
			return false
		}
	}
}

// Written tells of a record that was dead-lettered.
func (l *DeadLetters) Written(log *slog.Logger) {
	l.Observer.RecordGivenUp(true)
	log.Warn("a record was dead-lettered", status.EventDeadLetter.Attr(), //nolint:sloglint // its type marks the line
		"dead_letter_topic", l.Delivery.DeadLetterTopic)
}

// Skipped tells of a record that was given up where there is no topic for it.
func (l *DeadLetters) Skipped(log *slog.Logger) {
	l.Observer.RecordGivenUp(false)
	log.Warn("a record was rejected and is skipped: no dead_letter_topic is set")
}

// Err is why nothing can be stored at present; nil when it can or nothing is due.
func (s *storing) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == 0 {
		return nil
	}
	return s.err
}

func (s *storing) wait(more int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += more
	if err != nil {
		s.err = err
	}
}

// waiting is what one who stores something has told a [storing] of it.
type waiting struct {
	of *storing
	on bool
}

// note tells why it cannot be stored at present; nil is that it is, or is not to be any more.
func (w *waiting) note(err error) {
	switch {
	case err != nil && !w.on:
		w.of.wait(1, err)
	case err != nil:
		w.of.wait(0, err)
	case w.on:
		w.of.wait(-1, nil)
	}
	w.on = err != nil
}

// giveUp takes a record out of the way that no further delivery can help, and says in s what follows. The outputs of s
// are its dead letter, where that is to be committed with its offset.
func (d *Dispatcher) giveUp(it *item, s *step) {
	s.next = Finish
	attempts := it.earlier + it.attempts
	log := d.cfg.Log.With("topic", it.rec.Topic, "partition", it.rec.Partition, "offset", it.rec.Offset, "attempts", attempts, "reason", s.err)
	switch {
	case d.cfg.Transactional && d.cfg.MakeDeadLetter != nil:
		s.outputs, s.aside = []record.Outgoing{d.cfg.MakeDeadLetter(it.rec, attempts, s.err)}, deadLettered
		s.afterCommit = func() { d.deadLetters.Written(log) }
	case d.deadLetters.Store != nil:
		s.letter = log
	case d.cfg.Delivery.OnReject == settings.RejectStop:
		s.next = holdPartition
	case d.cfg.Transactional:
		s.afterCommit = func() { d.deadLetters.Skipped(log) }
	default:
		d.deadLetters.Skipped(log)
	}
}
