package provider

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"messaging-kafka/internal/guest"
	"messaging-kafka/internal/produce"
	"messaging-kafka/internal/record"
	"messaging-kafka/internal/records"
)

// batchDeliverer hands batches of records to one component by messaging-kafka:records. It is the lattice's side of
// record.BatchDeliverer.
type batchDeliverer struct {
	calls     *records.HandlerClient
	component string
	link      string
	process   bool // by processor, whose results are records to produce, instead of handler
}

// DeliverBatch implements record.BatchDeliverer.
func (d *batchDeliverer) DeliverBatch(ctx context.Context, batch []*record.Record) ([]record.Outcome, error) {
	if len(batch) == 1 {
		// A call has one trace, and the records of a batch each their own.
		ctx = guest.WithTraceHeaders(ctx, traceOf(batch[0]))
	}
	if !d.process {
		return d.calls.Handle(ctx, d.component, d.link, batch)
	}
	outcomes, err := d.calls.Process(ctx, d.component, d.link, batch)
	for i := range outcomes {
		traceOutputs(batch[i], outcomes[i].Outputs)
	}
	return outcomes, err
}

// traceOutputs carries the trace of a record on to what was made of it.
func traceOutputs(r *record.Record, outputs []record.Outgoing) {
	if trace := traceOf(r); trace != nil {
		for i := range outputs {
			outputs[i].Headers = withTrace(trace, outputs[i].Headers)
		}
	}
}

// recordsProducer serves the interfaces producer and requester of messaging-kafka:records.
type recordsProducer struct{ p *Provider }

func (p *Provider) recordsProducer() records.Producer { return recordsProducer{p} }

const (
	recordsNamespace = "messaging-kafka"
	recordsPackage   = "records"
)

// Send implements records.Producer.
func (s recordsProducer) Send(ctx context.Context, caller guest.Caller, list []record.Outgoing) ([]record.Position, []error) {
	r, err := s.p.route(ctx, recordsNamespace, recordsPackage, caller)
	if err != nil {
		errs := make([]error, len(list))
		for i := range errs {
			errs[i] = &records.SendError{Case: records.Unavailable, Text: err.Error()}
		}
		return make([]record.Position, len(list)), errs
	}
	began := time.Now()
	for i := range list {
		list[i].Headers = withTrace(caller.Header, list[i].Headers)
	}
	positions, errs := r.currentPublisher().PublishAll(ctx, list)
	took := time.Since(began)
	for i, err := range errs {
		r.metrics.Published(classOf(err), took)
		if err != nil {
			errs[i] = sendError(err)
		}
	}
	return positions, errs
}

// Request implements records.Producer.
func (s recordsProducer) Request(ctx context.Context, caller guest.Caller, out record.Outgoing, timeout time.Duration) (*record.Record, error) {
	r, err := s.p.route(ctx, recordsNamespace, recordsPackage, caller)
	if err != nil {
		return nil, &records.SendError{Case: records.Unavailable, Text: err.Error()}
	}
	if r.requester == nil {
		return nil, &records.SendError{Case: records.Invalid, Text: errNoReplyTopic.Error()}
	}
	out.Headers = withTrace(caller.Header, out.Headers)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := r.requester.Do(ctx, out)
	if err != nil {
		return nil, sendError(err)
	}
	return answer, nil
}

// withTrace adds a trace to the headers of a record that has none of its own.
func withTrace(trace nats.Header, headers []record.Header) []record.Header {
	for _, h := range headers {
		if h.Key == traceHeaders[0] {
			return headers
		}
	}
	return append(headers[:len(headers):len(headers)], traceRecordHeaders(trace)...)
}

// sendError makes of an error what the WIT's send-error can say of it.
func sendError(err error) error {
	var e *produce.Error
	if !errors.As(err, &e) {
		return err // records knows what to do with a deadline, and with the rest
	}
	s := &records.SendError{Text: e.Error()}
	switch e.Class {
	case produce.ClassTooLarge:
		s.Case, s.Size, s.Limit = records.TooLarge, uint64(e.Size), uint64(e.Limit)
	case produce.ClassUnknownTopic:
		s.Case = records.UnknownTopic
	case produce.ClassNotAuthorised:
		s.Case = records.NotAuthorised
	case produce.ClassTimedOut:
		s.Case = records.TimedOut
	case produce.ClassUnavailable:
		s.Case = records.Unavailable
	case produce.ClassInvalid:
		s.Case = records.Invalid
	default:
		s.Case = records.Other
	}
	return s
}
