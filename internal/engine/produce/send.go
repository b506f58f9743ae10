package produce

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// callerLimit is how long a caller waits: until its context ends, or publish_timeout is over. Most need no context for
// both.
type callerLimit struct {
	caller context.Context
	limit  *deadline.Lease
	began  time.Time
	both   context.Context // made when it is first needed
	cancel context.CancelFunc
}

// wait begins to wait for a caller, who ends it.
func (c *client) wait(ctx context.Context) *callerLimit {
	return &callerLimit{caller: ctx, limit: c.waits.Take(), began: time.Now()}
}

func (p *callerLimit) end() {
	if p.cancel != nil {
		p.cancel()
	}
	p.limit.Release()
}

// context ends when the patience does.
func (p *callerLimit) context() context.Context {
	if p.both == nil {
		until, _ := p.limit.Deadline()
		p.both, p.cancel = context.WithDeadline(p.caller, until)
	}
	return p.both
}

// receive waits for the index of a record that has come back. One that is there already is taken in any case; ok is
// false when the patience ends first.
func (p *callerLimit) receive(done <-chan int) (index int, ok bool) {
	select {
	case index = <-done:
		return index, true
	default:
	}
	select {
	case index = <-done:
		return index, true
	case <-p.caller.Done():
	case <-p.limit.Done():
	}
	return 0, false
}

// cause is why the patience has ended.
func (p *callerLimit) cause() error {
	if err := context.Cause(p.caller); err != nil {
		return err
	}
	return context.Cause(p.limit)
}

// sending is the records of one call on their way through a client. They share a deadline, and what is made for each of
// them is made for all at once.
//
// Their context is not the caller's: the client fails all records of a partition when the context of the first of them
// ends (their order would break else), so one caller that goes away would take others along.
type sending struct {
	client   *client
	within   context.Context // ends with the time of the records
	lease    *deadline.Lease // that is within; nil where cancel frees it
	cancel   context.CancelFunc
	left     atomic.Int64 // records that are not finished
	inFlight []inFlight
	done     chan<- int // gets the index of each flight that has come back, and has room for all
	// finished hears the end of each record; it is made once for all.
	finished func(*kgo.Record, error)
}

// inFlight is one record on its way, and what the client reported on it. It is the record's context as well.
type inFlight struct {
	recordContext
	record  kgo.Record
	sending *sending
	index   int // of the record among those of the call
	// written is [client.written] as of the hand-over: as long as it stays the same, no broker can have the record.
	written uint64
	cost    int64 // in the client's buffer
	err     error
	// expired says that the record's own time was over when it came back.
	expired bool

	// These are its caller's alone: whether it was given to a client, and whether it has been judged.
	handedOver, judged bool
}

// margin is how much earlier than their callers' wait the time of records ends, so that a record that was never sent
// can still be told from one that may have been.
func margin(publishTimeout time.Duration) time.Duration {
	return min(publishTimeout/20, 250*time.Millisecond)
}

// newDeadlines returns the deadlines of records.
func newDeadlines(publishTimeout time.Duration) *deadline.Shared {
	before := margin(publishTimeout)
	return deadline.New(context.Background(), publishTimeout-2*before, publishTimeout-before, nil)
}

// newWaits returns the deadlines of those who wait for records.
func newWaits(publishTimeout time.Duration) *deadline.Shared {
	return deadline.New(context.Background(), publishTimeout, publishTimeout+publishTimeout/100, nil)
}

// newSending makes room for n records, each of which has to be handed over or finished.
func (c *client) newSending(n int, done chan<- int) *sending {
	lease := c.deadlines.Take()
	return c.newSendingWithin(lease, n, done, lease, nil)
}

// newSendingUntil makes room for one record, whose caller's wait ends at a time of its own.
func (c *client) newSendingUntil(end time.Time, done chan<- int) *sending {
	within, cancel := context.WithDeadline(context.Background(), end.Add(-margin(c.publishTimeout())))
	return c.newSendingWithin(within, 1, done, nil, cancel)
}

func (c *client) newSendingWithin(within context.Context, n int, done chan<- int, lease *deadline.Lease,
	cancel context.CancelFunc) *sending {
	s := &sending{client: c, within: within, lease: lease, cancel: cancel, inFlight: make([]inFlight, n), done: done}
	s.finished = s.acknowledged
	s.left.Store(int64(n))
	return s
}

// finish notes that one record needs the context no more.
func (s *sending) finish() {
	switch {
	case s.left.Add(-1) > 0:
	case s.lease != nil:
		s.lease.Release()
	default:
		s.cancel()
	}
}

// produce gives a record to a client.
func (s *sending) produce(to *kgo.Client, f *inFlight, r *record.Outgoing) {
	f.Context, f.sending, f.handedOver = s.within, s, true
	f.written = s.client.written.Load()
	convert(r, &f.record)
	to.Produce(f, &f.record, s.finished)
}

// acknowledged is called by the client with the end of each record.
func (s *sending) acknowledged(sent *kgo.Record, err error) {
	f := sent.Context.(*inFlight)
	f.err, f.expired = err, f.Err() != nil
	s.finish()
	if f.cost > 0 {
		s.client.buffer.Release(f.cost)
	}
	s.done <- f.index
}

func convert(r *record.Outgoing, out *kgo.Record) {
	*out = kgo.Record{
		Topic:     r.Topic,
		Partition: r.Partition,
		Key:       r.Key,
		Value:     r.Value,
		Timestamp: r.Timestamp,
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
}

// send sends records side by side and waits for them, and says of each, in their order, what became of it.
func (c *client) send(p *callerLimit, records []record.Outgoing) []record.Result {
	began := c.recreations.forgotten.Load()
	done := make(chan int, len(records)) // room for all: what comes after the end of the wait blocks nobody
	s := c.newSending(len(records), done)
	results := make([]record.Result, len(records))
	waiting := 0
	for i := range records {
		results[i].Position = noPosition(&records[i])
		s.inFlight[i].index = i
		if err := c.take(p, s, &s.inFlight[i], &records[i]); err != nil {
			results[i].Err = err
			continue
		}
		waiting++
	}
	for waiting > 0 {
		i, ok := p.receive(done)
		if !ok {
			break
		}
		f := &s.inFlight[i]
		if f.givenUpEarly() && !c.maybeSent(f) {
			err := c.takeAgain(p, f, &records[i], done)
			if err == nil {
				continue
			}
			results[i].Err = err
		} else {
			results[i] = c.judge(p, &records[i], f)
		}
		f.judged = true
		waiting--
	}
	for i := range s.inFlight {
		if f := &s.inFlight[i]; waiting > 0 && f.handedOver && !f.judged {
			results[i].Err = c.undecided(p, records[i].Topic)
		}
	}
	c.forgetRecreated(began, results)
	return results
}

// noPosition is the position of a record that is not stored, as far as is known.
func noPosition(r *record.Outgoing) record.Position {
	return record.Position{Topic: r.Topic, Partition: r.Partition, Offset: -1}
}

// take checks a record and gives it to the client, as soon as there is room for it.
func (c *client) take(p *callerLimit, s *sending, f *inFlight, r *record.Outgoing) *Error {
	bytes := size(r)
	err := c.check(r, bytes)
	if err == nil {
		err = c.identify(p, r.Topic)
	}
	if err == nil {
		f.cost = int64(bytes) + recordCost
		err = c.makeRoom(p, f.cost, r.Topic)
	}
	if err != nil {
		s.finish()
		return err
	}
	s.produce(c.client(), f, r)
	return nil
}

// takeAgain gives a record to the client that has given it up early, for what is left of its time.
func (c *client) takeAgain(p *callerLimit, f *inFlight, r *record.Outgoing, done chan<- int) *Error {
	end, _ := p.context().Deadline()
	return c.take(p, c.newSendingUntil(end, done), f, r)
}

// makeRoom takes room in the buffer.
func (c *client) makeRoom(p *callerLimit, cost int64, topic string) *Error {
	if p.caller.Err() == nil && c.buffer.TryAcquire(cost) {
		return nil
	}
	if err := c.buffer.Acquire(p.context(), cost); err != nil {
		return c.neverSent(topic, "too many records wait to be sent to Kafka; it was not stored", err)
	}
	return nil
}
