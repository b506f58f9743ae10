package httpout

import (
	"context"
	"maps"
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Messages hands records over as messages of wasmcloud:messaging (deliver=http-messages), for components that know
// subjects and bodies alone. The answer has a result for each.
type Messages struct {
	client *client
	format Format
	trace  *tracing.Link
	// message makes the message of a record, or says that the settings finish it without one.
	message func(*record.Record) (payload.Message, bool)
}

// NewMessages returns the receiver of a route. message makes the message of a record; false says that the route's
// settings skip it. trace may be nil.
func NewMessages(
	o Options, format Format, message func(*record.Record) (payload.Message, bool), trace *tracing.Link,
) (*Messages, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	return &Messages{client: c, format: format, message: message, trace: trace}, nil
}

// Close ends the connections that no request uses.
func (m *Messages) Close() { m.client.close() }

// Receive implements record.Receiver.
func (m *Messages) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	outcomes := make([]record.Outcome, len(batch))
	list, at := make([]payload.Message, 0, len(batch)), make([]int, 0, len(batch))
	for i, r := range batch {
		if msg, goes := m.message(r); goes {
			list, at = append(list, msg), append(at, i)
		} else {
			outcomes[i] = record.Outcome{Kind: record.Skipped}
		}
	}
	if len(list) == 0 {
		return outcomes
	}
	ctx, span := m.trace.ProcessBatch(ctx, batch)
	var alone *record.Record
	if len(batch) == 1 {
		alone = batch[0]
	}
	header := http.Header{}
	maps.Copy(header, canonical(span.Headers(alone)))
	for i, o := range m.results(ctx, header, list) {
		outcomes[at[i]] = o
	}
	endSpan(span, outcomes)
	return outcomes
}

func (m *Messages) results(ctx context.Context, header http.Header, list []payload.Message) []record.Outcome {
	n := len(list)
	var body []byte
	mediaType := wit.MessagesType
	if m.format == JSON {
		mediaType, body = wit.MessagesTypeJSON, wit.AppendMessagesJSON(nil, list)
	} else {
		body = wit.AppendMessages(nil, list)
	}
	answered, all := m.client.exchange(ctx, header, body, mediaType, n)
	if all != nil {
		return all
	}
	decode := wit.DecodeResults
	if m.format == JSON {
		decode = wit.DecodeResultsJSON
	}
	texts, err := decode(answered, n)
	if err != nil {
		return record.Each(n, unreadable(err))
	}
	outcomes := make([]record.Outcome, n)
	for i, failure := range texts {
		outcomes[i] = verdict(failure)
	}
	return outcomes
}

// verdict is what a component's result says of a record; nil is that it was handled.
func verdict(failure *string) record.Outcome {
	if failure == nil {
		return record.Outcome{Kind: record.Done}
	}
	return payload.Failed(*failure)
}
