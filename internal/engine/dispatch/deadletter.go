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

	mu      sync.Mutex
	waiting int   // dead letters that could not be written yet
	err     error // the last reason
}

// Write stores a dead letter, however long Kafka keeps it waiting, and tells of it. It returns false where ctx ends
// first.
func (l *DeadLetters) Write(ctx context.Context, r *record.Record, attempts int, cause error, log *slog.Logger) bool {
	for failures := 1; ; failures++ {
		err := l.Store(ctx, r, attempts, cause)
		switch {
		case err == nil:
			l.Written(log)
			return true
		case ctx.Err() != nil:
			return false
		}
		log.Error("dead-lettering a record failed; the record waits",
			"dead_letter_topic", l.Delivery.DeadLetterTopic, "error", err)
		if failures == 1 {
			l.wait(1, err)
			defer func() { l.wait(-1, nil) }()
		} else {
			l.wait(0, err)
		}
		if !backoff.Sleep(ctx, Backoff(l.Delivery, failures, 0)) {
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

// Err is why dead letters cannot be written at present; nil when they can or none is due.
func (l *DeadLetters) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 {
		return nil
	}
	return l.err
}

func (l *DeadLetters) wait(more int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting += more
	if err != nil {
		l.err = err
	}
}

// giveUp takes a record out of the way that no further delivery can help, and says in s what follows. The outputs of s
// are its dead letter, where that is to be committed with its offset.
func (d *Dispatcher) giveUp(p *Partition, it *item, s *step) {
	s.next = Finish
	attempts := it.earlier + it.attempts
	log := d.cfg.Log.With("topic", p.topic, "partition", p.id, "offset", it.rec.Offset, "attempts", attempts, "reason", s.err)
	switch {
	case d.cfg.Transactional && d.cfg.MakeDeadLetter != nil:
		s.outputs = []record.Outgoing{d.cfg.MakeDeadLetter(it.rec, attempts, s.err)}
		s.afterCommit = func() { d.deadLetters.Written(log) }
	case d.deadLetters.Store != nil:
		if !d.deadLetters.Write(p.ctx, it.rec, attempts, s.err, log) {
			s.next = Leave
		}
	case d.cfg.Delivery.OnReject == settings.RejectStop:
		s.next = holdPartition
	case d.cfg.Transactional:
		s.afterCommit = func() { d.deadLetters.Skipped(log) }
	default:
		d.deadLetters.Skipped(log)
	}
}
