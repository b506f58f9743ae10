package natsout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options are what receivers need.
type Options struct {
	// Route is the name of the route, which messages carry.
	Route string
	// Conn is the connection, which the receiver gives back when it is closed.
	Conn *natsconn.Conn
	// Settings are those of the route.
	Settings *settings.Link
	// Message makes the message of a record; false says that the route's settings skip it.
	Message func(*record.Record) (payload.Message, bool)
	// Form makes records of answers.
	Form *payload.Form
	// Trace may be nil.
	Trace *tracing.Link
	// GiveUp stores the dead letter of a record that a consumer of the stream has given up. It is needed with
	// nats_advisory_stream, and so is Log.
	GiveUp func(ctx context.Context, r *record.Record, attempts int, cause error) error
	Log    *slog.Logger
}

// sender is what all receivers have in common.
type sender struct{ o Options }

// Close gives the connection back.
func (s *sender) Close() { s.o.Conn.Release() }

// each hands the records of a batch over, one after another.
func (s *sender) each(ctx context.Context, batch []*record.Record, one func(context.Context, *delivery) record.Outcome) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = s.deliver(ctx, r, one)
	}
	return outcomes
}

// delivery is one record on its way.
type delivery struct {
	record  *record.Record
	message *nats.Msg
	// replyTo is the subject, of Kafka's side, at which an answer is published; nil for none.
	replyTo *string
}

func (s *sender) deliver(ctx context.Context, r *record.Record, one func(context.Context, *delivery) record.Outcome) record.Outcome {
	msg, goes := s.o.Message(r)
	if !goes {
		return record.Outcome{Kind: record.Skipped}
	}
	subject, err := subjectOf(s.o.Settings.NATS.Subject, r)
	if err != nil {
		return record.Outcome{Kind: record.Reject, Err: err}
	}
	ctx, span := s.o.Trace.Process(ctx, r)
	d := &delivery{record: r, replyTo: msg.ReplyTo, message: &nats.Msg{
		Subject: subject, Data: msg.Body, Header: s.header(r, span.Headers(r)),
	}}
	o := one(ctx, d)
	for i := range o.Outputs {
		s.o.Trace.Create(span, r, false, &o.Outputs[i])
	}
	if o.Kind == record.Done {
		span.End("", nil)
	} else {
		span.End(o.Kind.Label(), o.Err)
	}
	return o
}

// failed is what becomes of a record whose message got no answer.
func (s *sender) failed(err error, m *nats.Msg) record.Outcome {
	_, away := errors.AsType[*natsconn.AwayError](err)
	_, refused := errors.AsType[*natsconn.RefusedError](err)
	switch {
	case away, refused:
		return record.Outcome{Kind: record.Unavailable, Err: err}
	case errors.Is(err, natsconn.ErrNoResponders):
		return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("nobody subscribes to %s on NATS", m.Subject)}
	case natsconn.IsTooLarge(err):
		return record.Outcome{Kind: record.Reject, Err: fmt.Errorf(
			"its message has %d bytes, headers included, and the NATS server takes no more than %d (max_payload)", m.Size()-len(m.Subject)-len(m.Reply), s.o.Conn.MaxPayload())}
	case errors.Is(err, natsconn.ErrSilent), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("a message to %s on NATS: %w", m.Subject, err)}
	default:
		return record.Outcome{Kind: record.Reject, Err: fmt.Errorf("its message cannot be sent: %w", err)}
	}
}
