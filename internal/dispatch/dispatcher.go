package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"messaging-kafka/internal/record"
	"messaging-kafka/internal/settings"
)

// Config is what a [Dispatcher] needs. Deliverer, Log and Observer must not be nil.
type Config struct {
	Delivery  settings.Delivery
	Deliverer record.Deliverer
	// DeadLetter stores a record that no further delivery can help and returns when the broker has acknowledged it.
	// It is nil where the link has no dead-letter topic.
	DeadLetter func(ctx context.Context, r *record.Record, attempts int, cause error) error
	// Limiter bounds the calls of all links of the provider together; nil does not.
	Limiter *semaphore.Weighted
	// Progress is called, without a lock held, whenever a record has been finished. It must not block.
	Progress func()
	Observer Observer
	Log      *slog.Logger
}

// Observer is told what happens, for metrics. Its methods are called by many goroutines at once and must not block.
type Observer interface {
	// Delivered is called after each call of the component with how it ended and how long it took.
	Delivered(o Outcome, took time.Duration)
	// Buried is called when a record was dead-lettered, or skipped where there is no dead-letter topic.
	Buried(deadLettered bool)
}

// Outcome classifies the end of one call of a component, for metrics.
type Outcome string

const (
	OutcomeDone        Outcome = "done"
	OutcomeRetry       Outcome = "retry"
	OutcomeReject      Outcome = "reject"
	OutcomeUnavailable Outcome = "unavailable"
	OutcomeGivenUp     Outcome = "given_up"
)

// Outcomes lists every [Outcome].
var Outcomes = []Outcome{OutcomeDone, OutcomeRetry, OutcomeReject, OutcomeUnavailable, OutcomeGivenUp}

// Dispatcher hands the records of one link to its component. All methods may be called by many goroutines at once.
type Dispatcher struct {
	cfg Config

	mu         sync.Mutex
	ready      readyLanes
	turn       uint64 // the next one to give out
	inFlight   int
	buffered   int64
	gate       gate
	partitions map[*Partition]struct{}
}

// New makes a Dispatcher without partitions.
func New(cfg Config) *Dispatcher {
	if cfg.Progress == nil {
		cfg.Progress = func() {}
	}
	return &Dispatcher{cfg: cfg, partitions: make(map[*Partition]struct{})}
}

// Status is a snapshot of a dispatcher.
type Status struct {
	// InFlight is the number of records that the component holds.
	InFlight int
	// Waiting is the number of records that wait for a call.
	Waiting int
	// Buffered is the size of all these records in bytes.
	Buffered int64
	// Unavailable says why no component can be reached; nil when one can.
	Unavailable error
	// UnavailableSince is when that began.
	UnavailableSince time.Time
	// Held are the partitions that a rejected record holds, with the reason.
	Held []Held
	// DeadLetter says why dead letters cannot be written at present; nil when they can or none is due.
	DeadLetter error
}

// Held is a partition that stands still until its link is put anew.
type Held struct {
	Topic     string
	Partition int32
	Reason    error
}

// Status returns a snapshot.
func (d *Dispatcher) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{InFlight: d.inFlight, Buffered: d.buffered, Unavailable: d.gate.cause, UnavailableSince: d.gate.since}
	for p := range d.partitions {
		s.Waiting += p.unfinished
		if p.unburied > 0 {
			s.DeadLetter = p.buryErr
		}
		if p.held != nil {
			s.Held = append(s.Held, Held{Topic: p.topic, Partition: p.id, Reason: p.held})
		}
	}
	s.Waiting = max(0, s.Waiting-d.inFlight)
	return s
}

// Buffered is the number of bytes of records that wait or are being handled.
func (d *Dispatcher) Buffered() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buffered
}

// schedule starts calls for as long as there are ready lanes and free slots. d.mu is held.
func (d *Dispatcher) schedule() {
	for d.inFlight < d.cfg.Delivery.MaxInFlight {
		if d.ready.len() == 0 || !d.gate.admits(time.Now(), d.wakeGate) {
			return
		}
		l := d.ready.pop()
		p := l.partition
		if p.closing || p.held != nil {
			// The partition is on its way out or stands still: its lanes are simply forgotten. Offsets, not lanes,
			// decide what is read again.
			d.gate.unused()
			l.state = laneIdle
			continue
		}
		l.state = laneCalling
		l.head().probe = d.gate.cause != nil
		d.inFlight++
		p.inFlight++
		go d.call(l.head())
	}
}

// wakeGate looks again whether a closed gate admits a probe.
func (d *Dispatcher) wakeGate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate.timer = nil
	d.schedule()
}
