package httpout

import (
	"context"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Records hands batches of whole records over (deliver=http-records): a request for each, whose answer has a verdict on
// each record, or the records that were made of it.
type Records struct {
	*sender
	format Format
	base64 bool
}

// Format is how bodies are written.
type Format uint8

const (
	// Value is the component model's value encoding.
	Value Format = iota
	// JSON has the same shape.
	JSON
)

// NewRecords returns the receiver of a route. With base64, bytes go as base64 in the value encoding. trace may be nil.
func NewRecords(o Options, format Format, base64 bool, trace *tracing.Link) (*Records, error) {
	mediaType := wit.RecordsType
	if format == JSON {
		mediaType = wit.RecordsTypeJSON
	}
	s, err := newSender(o, mediaType, mediaType, trace)
	if err != nil {
		return nil, err
	}
	return &Records{sender: s, format: format, base64: base64}, nil
}

// Receive implements record.Receiver.
func (r *Records) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	ctx, d := r.begin(ctx, batch, 0)
	body := newBuffer()
	defer body.release()
	if r.format == JSON {
		body.b = wit.AppendBatchJSON(body.b, batch)
	} else {
		body.b = wit.AppendBatch(body.b, batch, r.base64)
	}
	answered, all := d.exchange(ctx, body, len(batch))
	if all != nil {
		return d.end(all)
	}
	outcomes, err := r.decode(&d.held, answered, len(batch))
	if err != nil {
		return d.end(unreadable(err, len(batch)))
	}
	return d.end(outcomes)
}

func (r *Records) decode(held *memory.Share, body []byte, n int) ([]record.Outcome, error) {
	if r.format == JSON {
		if err := held.Hold(payload.JSONCost(body)); err != nil {
			return nil, err
		}
		return wit.DecodeProcessedJSON(body, n)
	}
	d := wit.NewCountedDecoder(body, held)
	outcomes, err := wit.DecodeProcessed(d, n)
	if err == nil {
		err = d.End()
	}
	return outcomes, err
}
