package provider

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
)

// rejectPrefix at the start of a component's error text says that another delivery of the record cannot help.
const rejectPrefix = "reject:"

// deliverer hands records to one component as wasmcloud:messaging@0.2.0 messages: the topic is the subject, the value,
// or the record in an envelope, the body, and each record makes a call. It is a [record.Receiver].
type deliverer struct {
	component  *messaging.Component
	replyTopic string
	// believes tells whether an answer may go to a topic that a record names; own is the link's own reply topic for it.
	believes func(topic, own string) bool
	form     payload.Form
	// skipTombstones finishes records without a value instead of delivering them.
	skipTombstones bool
	trace          *tracing.Link
	log            *slog.Logger
	// lastReply is the reply topic that the last record had: records of one topic come one after another.
	lastReply atomic.Pointer[lastReply]
}

// lastReply is the reply topic for the records of a topic.
type lastReply struct{ topic, subject string }

// Receive implements record.Receiver.
func (d *deliverer) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	if len(batch) == 1 {
		return record.Each(1, d.deliver(ctx, batch[0]))
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = d.deliver(ctx, r)
	}
	return outcomes
}

func (d *deliverer) deliver(ctx context.Context, r *record.Record) record.Outcome {
	if r.Value == nil && d.skipTombstones {
		d.log.Debug("a tombstone is skipped", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset)
		return record.Outcome{Kind: record.Skipped}
	}
	ctx, span := d.trace.Process(ctx, r)
	ctx = guest.WithTraceHeaders(ctx, span.Headers(r))
	o := outcomeOf(d.component.HandleMessage(ctx, messaging.BrokerMessage{
		Subject: r.Topic, Body: d.form.Body(r), ReplyTo: d.replyTo(r),
	}))
	span.End(o.Kind.Label(), o.Err)
	return o
}

// replyTo says where an answer to a record goes: where the record itself says, as requests over Kafka do, if the link
// believes that, else to the link's reply topic.
func (d *deliverer) replyTo(r *record.Record) *string {
	own := d.ownReply(r)
	address, asks := record.ReplyAddressOf(r)
	if !asks {
		return own
	}
	topic := ""
	if own != nil {
		topic = *own
	}
	if !d.believes(address.Topic, topic) {
		d.log.Warn("a record asks for its answer in a topic that reply_topics_from_records does not have: it is delivered as if it asked for none",
			"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "asked_for", address.Topic)
		return own
	}
	subject := address.String()
	return &subject
}

// ownReply is the link's reply topic for a record, nil where there is none.
func (d *deliverer) ownReply(r *record.Record) *string {
	if d.replyTopic == "" {
		return nil
	}
	last := d.lastReply.Load()
	if last == nil || last.topic != r.Topic {
		last = &lastReply{topic: r.Topic, subject: route.OwnReplyTopic(d.replyTopic, r.Topic)}
		d.lastReply.Store(last)
	}
	return &last.subject // nobody changes it
}

// outcomeOf says what a call's end means for the record. It is the one place that does.
func outcomeOf(err error) record.Outcome {
	if err == nil {
		return record.Outcome{Kind: record.Done}
	}
	if failure, ok := errors.AsType[*messaging.GuestError](err); ok {
		if text, reject := strings.CutPrefix(failure.Text, rejectPrefix); reject {
			return record.Outcome{Kind: record.Reject, Err: errors.New(strings.TrimSpace(text))}
		}
		return record.Outcome{Kind: record.Retry, Err: errors.New(failure.Text)}
	}
	return guest.Failed(err)
}
