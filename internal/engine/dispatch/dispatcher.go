package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Config is what a [Dispatcher] needs. Receiver, Log and Observer must not be nil.
type Config struct {
	Delivery settings.Delivery
	// Receiver takes the records, with Batches in batches as Delivery.Batch says: each is of one partition.
	Receiver record.Receiver
	Batches  bool
	// Outputs says how the outputs of records are produced; nil where there are none.
	Outputs *Outputs
	// Transactional leaves outputs to whoever commits: see [Partition.TakeFinished].
	Transactional bool
	// DeadLetter stores a record that no further delivery can help and returns when the broker has acknowledged it.
	// It is nil where the link has no dead-letter topic. With Transactional, MakeDeadLetter is called instead, and what it
	// makes is the record's output.
	DeadLetter     func(ctx context.Context, r *record.Record, attempts int, cause error) error
	MakeDeadLetter func(r *record.Record, attempts int, cause error) record.Outgoing
	// MakeRetry makes of a record that has failed so often what is stored in one of Delivery.RetryTopics, and Send stores
	// such and says what became of each. They are needed where there are such topics; with Transactional, what is made is
	// the record's output.
	MakeRetry func(r *record.Record, to *settings.RetryTopic, attempts int, cause error) record.Outgoing
	Send      func(context.Context, ...record.Outgoing) []record.Result
	// Limiter bounds the calls of all links of the provider together; nil does not.
	Limiter *semaphore.Weighted
	// Progress is called, without a lock held, whenever a record has been finished. It must not block.
	Progress func()
	// Memory counts what the records take; nil is not.
	Memory   *memory.Account
	Observer Observer
	Log      *slog.Logger
}

// Outputs says how the outputs of records are produced.
type Outputs struct {
	// Prepare appends the records to produce of an output: its topic and size checked against what the link allows, its
	// partition chosen where the link limits them. A record with an output of which it returns an error is treated as
	// rejected: no further delivery can help. With [Config.Transactional] the committer gets what it returns.
	Prepare func(to []record.Outgoing, out record.Outgoing) ([]record.Outgoing, error)
	// Produce prepares and stores outputs, and returns when Kafka has acknowledged all of them, or the first error.
	Produce func(ctx context.Context, outputs []record.Outgoing) error
}

// PrepareAll appends the records to produce of the outputs of a record.
func (o *Outputs) PrepareAll(to, outputs []record.Outgoing) ([]record.Outgoing, error) {
	for i := range outputs {
		if o == nil {
			return nil, errors.New("records were made of it, and none are produced")
		}
		var err error
		if to, err = o.Prepare(to, outputs[i]); err != nil {
			return nil, fmt.Errorf("an output for topic %s cannot be produced: %w", outputs[i].Topic, err)
		}
	}
	return to, nil
}

// Observer hears what happens, for metrics. Its methods are called by many goroutines at once and must not block.
type Observer interface {
	// Delivered is called for each record that was with the component or was skipped, with how that ended and how long the
	// call took; GivenUp for one whose call was ended by a stop or because its partition went.
	Delivered(kind record.Kind, took time.Duration)
	GivenUp(took time.Duration)
	// Redelivered is called for each delivery of a record that is not its first, before the call.
	Redelivered()
	// Batched is called with the number of records of a call, where records go in batches, after it.
	Batched(records int)
	// RecordGivenUp is called when a record was dead-lettered, or skipped where there is no dead-letter topic.
	RecordGivenUp(deadLettered bool)
	// RecordDelayed is called when a record that failed was stored in the retry topic of that delay.
	RecordDelayed(delay time.Duration)
}

// Dispatcher hands the records of one link to its component. All methods may be called by many goroutines at once.
type Dispatcher struct {
	cfg         Config
	caller      Caller
	deadLetters DeadLetters
	retries     storing

	mu              sync.Mutex
	turns           turns
	turn            uint64 // the next one to give out
	callsInFlight   int
	recordsInFlight int         // in these calls
	fill            *time.Timer // wakes a partition that waits for its batch to fill
	buffered        int64
	charged         int64 // what of buffered is in the account
	keptBytes       int64 // the size of the finished records that can be taken with their outputs
	keyed           bool  // a record with a key has been read
	keyless         bool  // one without has, and waits for others of its kind
	calls           Calls
	gate            gate
	unstored        UnstoredRecords[*item]
	partitions      map[*Partition]struct{}
}

// New makes a Dispatcher without partitions.
func New(cfg Config) *Dispatcher {
	if cfg.Progress == nil {
		cfg.Progress = func() {}
	}
	d := &Dispatcher{cfg: cfg, partitions: make(map[*Partition]struct{})}
	d.caller = Caller{
		Receiver: cfg.Receiver, Batches: cfg.Batches, Limiter: cfg.Limiter, Timeout: cfg.Delivery.HandleTimeout,
		Observer: cfg.Observer, Log: cfg.Log,
	}
	d.deadLetters.Store, d.deadLetters.Delivery, d.deadLetters.Observer = cfg.DeadLetter, &d.cfg.Delivery, cfg.Observer
	return d
}

// Status is a snapshot of a dispatcher.
type Status struct {
	// InFlight is the number of records that the component holds.
	InFlight int
	// Waiting is the number of records that wait for a call.
	Waiting int
	// Buffered is what all these records take in memory.
	Buffered int64
	// Oldest is when the record was read that has been unfinished for longest; zero where there is none.
	Oldest time.Time
	// OldestCall is when the call began that has been under way for longest; zero where there is none.
	OldestCall time.Time
	// Failing tells how the component fails, Hanging which calls it does not come to an end with; nil where it does not.
	Failing *Failing
	Hanging *Hanging
	// LastFailure is the last record that the component failed, whether it works again or not; nil where there was none.
	LastFailure *Failure
	// KeylessOnly tells that records were read, all of them without a key, and that order=key has those of a partition
	// wait for each other.
	KeylessOnly bool
	// Unavailable says why no component can be reached, and since when.
	Unavailable Hold
	// Outputs says why outputs of the component cannot be produced, and of which record; nil when they can.
	Outputs *Unstored
	// DeadLetter says why dead letters cannot be written at present; nil when they can or none is due.
	DeadLetter error
	// RetryTopic says why records cannot be written to retry topics at present; nil when they can or none is due.
	RetryTopic error
}

// Status returns a snapshot.
func (d *Dispatcher) Status() Status {
	letters, retries := d.deadLetters.Err(), d.retries.Err()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{
		InFlight: d.recordsInFlight, Buffered: d.buffered, KeylessOnly: d.keyless && !d.keyed,
		Unavailable: d.gate.hold, Outputs: d.unstored.First(), DeadLetter: letters, RetryTopic: retries,
	}
	for p := range d.partitions {
		s.Waiting += p.unfinished - p.parked.len()
		if p.items.len() > 0 {
			if read := p.items.peek().added; s.Oldest.IsZero() || read.Before(s.Oldest) {
				s.Oldest = read
			}
		}
	}
	s.OldestCall, s.Hanging = d.calls.Oldest(), d.calls.Hanging(time.Now())
	s.Failing, s.LastFailure = d.calls.Failing(time.Now(), s.Waiting > 0), d.calls.LastFailure()
	s.Waiting = max(0, s.Waiting-d.recordsInFlight)
	return s
}

// Buffered is what the records that wait or are being handled take in memory.
func (d *Dispatcher) Buffered() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buffered
}

// chargeBy is the least change of what is held that goes to the account. The account is shared with all links, so it is
// not asked with every record.
const chargeBy = 64 << 10

// charge tells the account what is held. d.mu is held.
func (d *Dispatcher) charge() {
	if change := d.buffered - d.charged; change >= chargeBy || -change >= chargeBy || d.buffered == 0 && change != 0 {
		d.cfg.Memory.Must(change)
		d.charged = d.buffered
	}
}

// Release gives back what the account was told of. It is called when the dispatcher is not used any more.
func (d *Dispatcher) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg.Memory.Give(d.charged)
	d.charged, d.cfg.Memory = 0, nil
}

// schedule starts calls for as long as there are ready lanes and free slots. d.mu is held.
func (d *Dispatcher) schedule() { d.begin(false) }

// begin starts calls for as long as there are ready lanes and free slots. With keep, it leaves the first of them to its
// caller to run. d.mu is held.
func (d *Dispatcher) begin(keep bool) (kept *call) {
	var filling []*Partition
	for d.callsInFlight < d.cfg.Delivery.MaxInFlight && d.turns.len() > 0 && !d.outputsFill() {
		p := d.turns.pop()
		if p.closing || p.held != nil {
			// The partition is on its way out or stands still: its lanes are simply forgotten. Offsets, not lanes,
			// decide what is read again.
			p.ready, p.readyItems = readyLanes{}, 0
			continue
		}
		if d.letFill(p) {
			filling = append(filling, p)
			continue
		}
		if !d.gate.admits(time.Now(), d.wakeGate) {
			d.turns.push(p)
			break
		}
		c := p.gather()
		if p.ready.len() > 0 {
			d.turns.push(p)
		}
		c.probe = d.gate.closed()
		d.calls.Begin(&c.running, c.items[0].rec, time.Now())
		d.callsInFlight++
		d.recordsInFlight += len(c.items)
		p.callsInFlight++
		if keep && kept == nil {
			kept = c
		} else {
			go d.run(c)
		}
	}
	for _, p := range filling {
		d.turns.push(p)
	}
	return kept
}

// outputsFill tells whether the records that can be taken, with their outputs, fill the buffer. They are taken first
// then: a component can make much of little. Those that wait for the end of others before them do not count, or these
// others could not be called. d.mu is held.
func (d *Dispatcher) outputsFill() bool {
	return d.keptBytes > 0 && d.keptBytes >= d.cfg.Delivery.MaxBuffer
}

// letFill tells whether a partition should wait until its batch is full, and sees to it that the wait ends. d.mu is
// held.
func (d *Dispatcher) letFill(p *Partition) bool {
	b := &d.cfg.Delivery.Batch
	if !d.cfg.Batches || b.MaxWait <= 0 || d.callsInFlight == 0 || p.readyItems >= b.MaxRecords {
		return false
	}
	left := b.MaxWait - time.Since(p.readySince)
	if left <= 0 {
		return false
	}
	if d.fill == nil {
		d.fill = time.AfterFunc(left, d.wakeFill)
	}
	return true
}

// wakeFill looks again at partitions that wait for their batch to fill.
func (d *Dispatcher) wakeFill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fill = nil
	d.schedule()
}

// wakeGate looks again whether a closed gate admits a probe.
func (d *Dispatcher) wakeGate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate.timer = nil
	d.schedule()
}

// stopTimers stops what would look again. d.mu is held.
func (d *Dispatcher) stopTimers() {
	d.gate.stopTimer()
	if d.fill != nil {
		d.fill.Stop()
		d.fill = nil
	}
}
