package route

import (
	"context"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Delivery is what a reading lends to those who take its records.
type Delivery struct {
	Settings *settings.Link
	Form     *payload.Form
	Trace    *tracing.Link
	Log      *slog.Logger
	// GiveUp stores the dead letter of a record that has counted as done, and that is given up by whoever has it now. It
	// is nil where the settings name no topic for dead letters. It can be called until the receiver is closed.
	GiveUp func(ctx context.Context, r *record.Record, attempts int, cause error) error
}

// Message makes the message of a record, for those who know messages alone.
func (d *Delivery) Message(r *record.Record) payload.Message {
	msg, refused := d.Form.Message(r)
	d.tell(r, refused)
	return msg
}

// ReplyTo is the subject at which an answer to a record is to be published, nil for none. It can be the topic of
// records that the engine produces.
func (d *Delivery) ReplyTo(r *record.Record) *string {
	subject, refused := d.Form.ReplyTo(r)
	d.tell(r, refused)
	return subject
}

// tell logs that a record asks for its answer in a topic that the settings do not believe; "" is none.
func (d *Delivery) tell(r *record.Record, refused string) {
	if refused != "" {
		d.Log.Warn("a record asks for its answer in a topic that reply_topics_from_records does not have: it is delivered as if it asked for none",
			"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "reply_topic", refused)
	}
}
