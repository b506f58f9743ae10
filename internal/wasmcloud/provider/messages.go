package provider

import (
	"context"
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/messaging"
)

// messageReceiver hands records to one component as wasmcloud:messaging@0.2.0 messages: the topic is the subject, the
// value, or the record in an envelope, the body, and each record makes a call. It is a [record.Receiver].
type messageReceiver struct {
	route.Delivery
	component *messaging.Component
}

// Receive implements record.Receiver.
func (d *messageReceiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	if len(batch) == 1 {
		return record.Each(1, d.deliver(ctx, batch[0]))
	}
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = d.deliver(ctx, r)
	}
	return outcomes
}

func (d *messageReceiver) deliver(ctx context.Context, r *record.Record) record.Outcome {
	msg := d.Message(r)
	ctx, span := d.Trace.Process(ctx, r)
	ctx = guest.WithTraceHeaders(ctx, span.Headers(r))
	o := outcomeOf(d.component.HandleMessage(ctx, messaging.BrokerMessage(msg)))
	span.End(o.Kind.Label(), o.Err)
	return o
}

// outcomeOf says what a call's end means for the record. It is the one place that does.
func outcomeOf(err error) record.Outcome {
	if err == nil {
		return record.Outcome{Kind: record.Done}
	}
	if failure, ok := errors.AsType[*messaging.GuestError](err); ok {
		return payload.Failed(failure.Text)
	}
	return guest.Failed(err)
}
