package dispatch

import (
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// giveUp takes a record out of the way that no further delivery can help, and says in s what follows. The outputs of s are
// its dead letter, where that is to be committed with its offset.
func (d *Dispatcher) giveUp(p *Partition, it *item, s *step) {
	s.next = Finish
	attempts := it.earlier + it.attempts
	log := d.cfg.Log.With("topic", p.topic, "partition", p.id, "offset", it.rec.Offset, "attempts", attempts, "cause", s.err)
	switch {
	case d.cfg.Transactional && d.cfg.MakeDeadLetter != nil:
		s.outputs = []record.Outgoing{d.cfg.MakeDeadLetter(it.rec, attempts, s.err)}
		s.tell = func() { d.tellDeadLetter(log) }
	case d.cfg.DeadLetter != nil:
		if !d.deadLetter(p, it, s.err, log) {
			s.next = Leave
			return
		}
		d.tellDeadLetter(log)
	case d.cfg.Delivery.OnReject == settings.RejectStop:
		s.next = stand
	case d.cfg.Transactional:
		s.tell = func() { d.tellSkipped(log) }
	default:
		d.tellSkipped(log)
	}
}

func (d *Dispatcher) tellDeadLetter(log *slog.Logger) {
	d.cfg.Observer.RecordGivenUp(true)
	log.Warn("a record was dead-lettered", status.EventDeadLetter.Attr(), "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic)
}

func (d *Dispatcher) tellSkipped(log *slog.Logger) {
	d.cfg.Observer.RecordGivenUp(false)
	log.Warn("a record was rejected and is skipped: no dead_letter_topic is set")
}

// deadLetter writes the dead letter, however long Kafka keeps it waiting. It reports false when the partition went
// away first: the next owner delivers the record anew.
func (d *Dispatcher) deadLetter(p *Partition, it *item, cause error, log *slog.Logger) bool {
	waits := false
	defer func() {
		if waits {
			d.countDeadLetters(p, -1, nil)
		}
	}()
	for failures := 1; ; failures++ {
		err := d.cfg.DeadLetter(p.ctx, it.rec, it.earlier+it.attempts, cause)
		if err == nil {
			return true
		}
		if p.ctx.Err() != nil {
			return false
		}
		log.Error("dead-lettering a record failed; the record waits", "dead_letter_topic", d.cfg.Delivery.DeadLetterTopic, "error", err)
		if !waits {
			waits = true
			d.countDeadLetters(p, 1, err)
		}
		if !backoff.Sleep(p.ctx, Backoff(&d.cfg.Delivery, failures, 0)) {
			return false
		}
	}
}

// countDeadLetters keeps, for [Status], how many records wait for their dead letter to be written, and why.
func (d *Dispatcher) countDeadLetters(p *Partition, n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.deadLetters += n
	if err != nil {
		p.deadLetterErr = err
	}
}
