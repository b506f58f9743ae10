package httpout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Mode is how events of CloudEvents stand in requests.
type Mode uint8

const (
	// Binary has attributes as headers, and the value as it is as the body.
	Binary Mode = iota
	// Structured has the whole event as JSON.
	Structured
	// Batched has a list of such events, with one verdict for all of them.
	Batched
)

// maxEventHeader bounds the headers of an event in binary mode, in bytes. Servers take no more than 8 to 64 KiB.
const maxEventHeader = 32 << 10

// Events hands records over as events of CloudEvents (deliver=http-cloudevents). The status of the answer is the
// verdict. An answer that is an event, or has a body, becomes a record.
type Events struct {
	*sender
	mode Mode
	// attributes is about how many headers an event has.
	attributes int
	// reply is the subject at which an answer to a record is published, nil for none.
	reply func(*record.Record) *string
}

// NewEvents returns the receiver of a route. reply is asked where the answer to a record is to be published; nil, or an
// answer of nil, is nowhere, and so it is for all records in batched mode, in which nobody can tell whose answer one
// is. trace may be nil.
//
// Only in batched mode a request has several records. In the others Receive sends those of a batch one after another,
// which is slower than batches of one at the same time.
func NewEvents(o Options, mode Mode, reply func(*record.Record) *string, trace *tracing.Link) (*Events, error) {
	mediaType := ""
	switch mode {
	case Binary:
	case Structured:
		mediaType = payload.EventType + "; charset=utf-8"
	case Batched:
		mediaType = payload.EventsType + "; charset=utf-8"
	}
	s, err := newSender(o, mediaType, "", trace)
	if err != nil {
		return nil, err
	}
	e := &Events{sender: s, mode: mode, reply: reply}
	if mode == Binary {
		e.attributes = 14
	}
	return e, nil
}

// Receive implements record.Receiver.
func (e *Events) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	switch {
	case e.mode == Batched:
		return e.list(ctx, batch)
	case len(batch) == 1:
		return e.one(ctx, batch)
	}
	outcomes := make([]record.Outcome, 0, len(batch))
	for i := range batch {
		outcomes = append(outcomes, e.one(ctx, batch[i:i+1])...)
	}
	return outcomes
}

// list posts the events of records together.
func (e *Events) list(ctx context.Context, batch []*record.Record) []record.Outcome {
	ctx, d := e.begin(ctx, batch, 0)
	body := newBuffer()
	defer body.release()
	body.b = payload.AppendEvents(body.b, batch)
	resp, all := d.post(ctx, body, len(batch))
	if all != nil {
		return d.end(all)
	}
	pass(resp)
	return d.end(record.Each(len(batch), record.Outcome{Kind: record.Done}))
}

// one posts the event of a single record.
func (e *Events) one(ctx context.Context, single []*record.Record) []record.Outcome {
	ctx, d := e.begin(ctx, single, e.attributes)
	r := single[0]
	body := newBuffer()
	defer body.release()
	if e.mode == Structured {
		body.b = payload.AppendEvent(body.b, r)
	} else {
		event := payload.EventOf(r)
		if size := event.AddHTTP(d.header); size > maxEventHeader {
			return d.end(record.Each(1, record.Outcome{Kind: record.Reject, Err: fmt.Errorf(
				"its key and headers take %d bytes as headers of HTTP, of which servers take no more than %d: set http_mode=structured", size, maxEventHeader)}))
		}
		body.b = append(body.b, event.Data...)
	}
	resp, all := d.post(ctx, body, 1)
	if all != nil {
		return d.end(all)
	}
	var reply *string
	if e.reply != nil {
		reply = e.reply(r)
	}
	if reply == nil {
		pass(resp)
		return d.end(record.Each(1, record.Outcome{Kind: record.Done}))
	}
	defer resp.Body.Close()
	outputs, err := answers(d, resp, *reply)
	switch {
	case errors.Is(err, payload.ErrUnstorable):
		return d.end(record.Each(1, record.Outcome{Kind: record.Reject, Err: fmt.Errorf("the application's answer: %w", err)}))
	case err != nil:
		return d.end(unreadable(err, 1))
	}
	return d.end(record.Each(1, record.Outcome{Kind: record.Done, Outputs: outputs}))
}

// pass passes over the body of an answer that nobody wants, so that its connection can be used again where it is short.
func pass(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, reasonMost) // the status has said all that counts
	_ = resp.Body.Close()
}

// answers are the records that an answer is, to be published at the subject reply.
func answers(d *delivery, resp *http.Response, reply string) ([]record.Outgoing, error) {
	body, err := d.read(resp)
	if err != nil {
		return nil, err
	}
	if payload.IsEventType(mediaType(resp.Header)) {
		if err := d.held.Hold(payload.JSONCost(body)); err != nil {
			return nil, err
		}
	}
	outputs, events, err := payload.OutgoingsOfHTTP(resp.Header, body)
	switch {
	case err != nil:
		return nil, err
	case !events && len(body) == 0:
		return nil, nil
	case !events:
		outputs = []record.Outgoing{{Partition: record.AnyPartition, Value: body, Headers: payload.ContentTypeOf(resp.Header)}}
	}
	for i := range outputs {
		out := &outputs[i]
		out.Topic = reply
		if out.Key == nil {
			out.Key = d.batch[0].Key // what is made of a record stays with those of its key
		}
	}
	return outputs, nil
}
