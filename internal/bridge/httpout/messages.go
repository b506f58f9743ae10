package httpout

import (
	"context"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Messages hands records over as messages of wasmcloud:messaging (deliver=http-messages), for components that know
// subjects and bodies alone. The answer has a result for each.
type Messages struct {
	*sender
	format Format
	// message makes the message of a record, or says that the settings finish it without one.
	message func(*record.Record) (payload.Message, bool)
}

// NewMessages returns the receiver of a route. message makes the message of a record; false says that the route's
// settings skip it. trace may be nil.
func NewMessages(
	o Options, format Format, message func(*record.Record) (payload.Message, bool), trace *tracing.Link,
) (*Messages, error) {
	mediaType := wit.MessagesType
	if format == JSON {
		mediaType = wit.MessagesTypeJSON
	}
	s, err := newSender(o, mediaType, mediaType, trace)
	if err != nil {
		return nil, err
	}
	return &Messages{sender: s, format: format, message: message}, nil
}

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
	ctx, d := m.begin(ctx, batch, 0)
	for i, o := range m.results(ctx, d, list) {
		outcomes[at[i]] = o
	}
	return d.end(outcomes)
}

// results posts messages and returns what became of each.
func (m *Messages) results(ctx context.Context, d *delivery, list []payload.Message) []record.Outcome {
	n := len(list)
	body := newBuffer()
	defer body.release()
	if m.format == JSON {
		body.b = wit.AppendMessagesJSON(body.b, list)
	} else {
		body.b = wit.AppendMessages(body.b, list)
	}
	answered, all := d.exchange(ctx, body, n)
	if all != nil {
		return all
	}
	failures, err := m.decode(&d.held, answered, n)
	if err != nil {
		return unreadable(err, n)
	}
	outcomes := make([]record.Outcome, n)
	for i, failure := range failures {
		if outcomes[i].Kind = record.Done; failure != nil {
			outcomes[i] = payload.Failed(*failure)
		}
	}
	return outcomes
}

func (m *Messages) decode(held *memory.Share, body []byte, n int) ([]*string, error) {
	if m.format == JSON {
		if err := held.Hold(payload.JSONCost(body)); err != nil {
			return nil, err
		}
		return wit.DecodeResultsJSON(body, n)
	}
	return wit.DecodeResults(body, n)
}
