package natsout

import (
	"context"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Plain publishes records (deliver=nats). A record counts as handled when the server has its message, whether or not
// anybody gets that.
type Plain struct{ sender }

// NewPlain returns the receiver of a route.
func NewPlain(o Options) *Plain { return &Plain{sender{o}} }

// Receive implements record.Receiver.
func (p *Plain) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	return p.each(ctx, batch, p.one)
}

func (p *Plain) one(ctx context.Context, d *delivery) record.Outcome {
	if err := p.o.Conn.Publish(ctx, d.message); err != nil {
		return p.failed(err, d.message)
	}
	return record.Outcome{Kind: record.Done}
}
