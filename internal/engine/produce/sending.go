package produce

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/deadline"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// sending is the records of one call on their way through a client. They share a deadline, and what is made for each of
// them is made for all at once.
//
// Their context is not the caller's: the client fails all records of a partition when the context of the first of them
// ends (their order would break else), so one caller that goes away would take others along.
type sending struct {
	client   *client
	within   context.Context // ends with the time of the records
	end      func()          // frees within
	left     atomic.Int64    // records that are not finished
	records  []kgo.Record
	contexts []recordContext
}

// recordContext is the context of one record. The partitioner finds the record's call in it.
type recordContext struct {
	context.Context
	call pending
}

func (c *recordContext) Value(key any) any {
	if key == (pendingKey{}) {
		return &c.call
	}
	return c.Context.Value(key)
}

// margin is how much earlier than their callers' wait the time of records ends, so that a record that was never sent can
// still be told from one that may have been.
func margin(publishTimeout time.Duration) time.Duration {
	return min(publishTimeout/20, 250*time.Millisecond)
}

// newDeadlines returns the deadlines of records.
func newDeadlines(publishTimeout time.Duration) *deadline.Shared {
	before := margin(publishTimeout)
	return deadline.New(context.Background(), publishTimeout-2*before, publishTimeout-before, nil)
}

// newSending makes room for n records, each of which has to be handed over or finished.
func (c *client) newSending(n int) *sending {
	s := &sending{client: c, records: make([]kgo.Record, n), contexts: make([]recordContext, n)}
	s.left.Store(int64(n))
	lease := c.deadlines.Take()
	s.within, s.end = lease, lease.Release
	return s
}

// newSendingUntil makes room for one record, whose caller's wait ends at a time of its own.
func (c *client) newSendingUntil(end time.Time) *sending {
	s := &sending{client: c, records: make([]kgo.Record, 1), contexts: make([]recordContext, 1)}
	s.left.Store(1)
	s.within, s.end = context.WithDeadline(context.Background(), end.Add(-margin(c.publishTimeout())))
	return s
}

// finish notes that one record needs the context no more.
func (s *sending) finish() {
	if s.left.Add(-1) == 0 {
		s.end()
	}
}

// hand gives a record to a client.
func (s *sending) hand(to *kgo.Client, index int, r *record.Outgoing, finished func(outcome)) {
	ctx, out := &s.contexts[index], &s.records[index]
	ctx.Context = s.within
	ctx.call.written = s.client.written.Load()
	convert(r, out)
	to.Produce(ctx, out, func(sent *kgo.Record, err error) {
		o := outcome{index: index, record: sent, call: &ctx.call, err: err, expired: ctx.Err() != nil}
		s.finish()
		finished(o)
	})
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
