package httpout

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Records hands batches of whole records over (deliver=http-records): a request for each, whose answer has a verdict on
// each record, or the records that were made of it.
type Records struct {
	client *client
	format Format
	base64 bool
	trace  *tracing.Link
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
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	return &Records{client: c, format: format, base64: base64, trace: trace}, nil
}

// Close ends the connections that no request uses.
func (r *Records) Close() { r.client.close() }

// Receive implements record.Receiver.
func (r *Records) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	ctx, span := r.trace.ProcessBatch(ctx, batch)
	var alone *record.Record
	if len(batch) == 1 {
		alone = batch[0] // a request has one trace, and the records of a batch each their own
	}
	header := http.Header{}
	maps.Copy(header, canonical(span.Headers(alone)))
	var body []byte
	mediaType := wit.RecordsType
	if r.format == JSON {
		mediaType, body = wit.RecordsTypeJSON, wit.AppendBatchJSON(nil, batch)
	} else {
		body = wit.AppendBatch(nil, batch, r.base64)
	}
	outcomes := r.outcomes(ctx, header, body, mediaType, len(batch))
	for i := range outcomes {
		for j := range outcomes[i].Outputs {
			r.trace.Create(span, batch[i], alone == nil, &outcomes[i].Outputs[j])
		}
	}
	endSpan(span, outcomes)
	return outcomes
}

func (r *Records) outcomes(ctx context.Context, header http.Header, body []byte, mediaType string, n int) []record.Outcome {
	answered, all := r.client.exchange(ctx, header, body, mediaType, n)
	if all != nil {
		return all
	}
	outcomes, err := r.decode(answered, n)
	if err != nil {
		return record.Each(n, unreadable(err))
	}
	return outcomes
}

func (r *Records) decode(body []byte, n int) ([]record.Outcome, error) {
	if r.format == JSON {
		return wit.DecodeProcessedJSON(body, n)
	}
	d := wit.NewBytesDecoder(body)
	outcomes, err := wit.DecodeProcessed(d, n)
	if err == nil {
		err = d.End()
	}
	return outcomes, err
}

// unreadable is the outcome of a request whose answer is none that was agreed on.
func unreadable(err error) record.Outcome {
	return record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("the application's answer cannot be read: %w", err)}
}

// endSpan ends the span of a delivery, with what happened to the first record that was not finished.
func endSpan(span *tracing.Span, outcomes []record.Outcome) {
	for i := range outcomes {
		if o := &outcomes[i]; o.Kind != record.Done && o.Kind != record.Skipped {
			span.End(o.Kind.Label(), o.Err)
			return
		}
	}
	span.End("", nil)
}

// canonical gives headers of a trace the names that net/http sends.
func canonical(from map[string][]string) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}
