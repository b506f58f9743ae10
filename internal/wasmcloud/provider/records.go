package provider

import (
	"context"
	"slices"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/records"
)

// batchReceiver hands batches of records to one component by messaging-kafka:records. It is a [record.Receiver].
type batchReceiver struct {
	calls     *records.HandlerClient
	component string
	link      string
	process   bool // by processor, whose results are records to produce, instead of handler
	trace     *tracing.Link
}

// Receive implements record.Receiver.
func (d *batchReceiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	ctx, span := d.trace.ProcessBatch(ctx, batch)
	var alone *record.Record
	if len(batch) == 1 {
		// A call has one trace, and the records of a batch each their own.
		alone = batch[0]
	}
	ctx = guest.WithTraceHeaders(ctx, span.Headers(alone))
	call := d.calls.Handle
	if d.process {
		call = d.calls.Process
	}
	outcomes := call(ctx, d.component, d.link, batch)
	for i := range outcomes {
		for j := range outcomes[i].Outputs {
			d.trace.Create(span, batch[i], alone == nil, &outcomes[i].Outputs[j])
		}
	}
	endBatch(span, outcomes)
	return outcomes
}

// endBatch ends the span of a delivery, with what happened to the first record that was not finished.
func endBatch(span *tracing.Span, outcomes []record.Outcome) {
	for i := range outcomes {
		if o := &outcomes[i]; o.Kind != record.Done {
			span.End(o.Kind.Label(), o.Err)
			return
		}
	}
	span.End("", nil)
}

// recordsProducer serves the interfaces producer and requester of messaging-kafka:records.
type recordsProducer struct{ p *Provider }

func (p *Provider) recordsProducer() records.Producer { return recordsProducer{p} }

const (
	recordsNamespace = "messaging-kafka"
	recordsPackage   = "records"
)

// Send implements records.Producer.
func (s recordsProducer) Send(ctx context.Context, caller guest.Caller, list []record.Outgoing) []record.Result {
	r, err := s.p.route(ctx, recordsNamespace, recordsPackage, caller)
	if err != nil {
		err = s.p.fitSendError(&wit.SendError{Case: wit.Unavailable, Text: err.Error()})
		return slices.Repeat([]record.Result{{Err: err}}, len(list))
	}
	results := r.Send(ctx, caller.Header, list)
	for i := range results {
		if err := results[i].Err; err != nil {
			results[i].Err = s.p.fitSendError(route.SendErrorOf(err))
		}
	}
	return results
}

// Request implements records.Producer.
func (s recordsProducer) Request(ctx context.Context, caller guest.Caller, out record.Outgoing,
	timeout time.Duration) (*record.Record, error) {
	r, err := s.p.route(ctx, recordsNamespace, recordsPackage, caller)
	if err != nil {
		return nil, s.p.fitSendError(&wit.SendError{Case: wit.Unavailable, Text: err.Error()})
	}
	answer, err := r.Request(ctx, caller.Header, out, timeout)
	if err != nil {
		return nil, s.p.fitSendError(route.SendErrorOf(err))
	}
	return answer, nil
}
