package natsout

import (
	"context"
	"errors"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Reply makes a request of each record (deliver=nats-reply). The reply is the verdict.
type Reply struct{ sender }

// NewReply returns the receiver of a route.
func NewReply(o Options) *Reply { return &Reply{sender{o}} }

// Receive implements record.Receiver.
func (r *Reply) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	return r.each(ctx, batch, r.one)
}

func (r *Reply) one(ctx context.Context, d *delivery) record.Outcome {
	answer, err := r.o.Conn.Request(ctx, d.message, r.o.Settings.NATS.AnswerTimeout, inProgress)
	if errors.Is(err, context.DeadlineExceeded) {
		// handle_timeout ends with ErrSilent, and begins anew with each sign of life.
		return record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf(
			"a message to %s on NATS: no answer within nats_max_wait (%s)", d.message.Subject, r.o.Settings.NATS.MaxWait)}
	}
	if err != nil {
		return r.failed(err, d.message)
	}
	o, content := verdict(answer)
	if !content || d.replyTo == nil {
		return o
	}
	out, err := r.o.Form.Outgoing(payload.Message{Subject: *d.replyTo, Body: answer.Data})
	if err != nil {
		return record.Outcome{Kind: record.Reject, Err: fmt.Errorf("the application's answer: %w", err)}
	}
	if out.Key == nil && r.o.Settings.Delivery.Payload == settings.PayloadRaw {
		out.Key = d.record.Key // what is made of a record stays with those of its key
	}
	o.Outputs = []record.Outgoing{out}
	return o
}
