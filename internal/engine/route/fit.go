package route

import (
	"context"
	"errors"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// maxReason bounds what is kept of the reason for which a record was not handled, in bytes.
const maxReason = 4 << 10

// fitReceiver makes what whoever handles records gives as a reason fit to be told and kept: without secrets, and cut
// after that. It is the one place, for all front-ends, which therefore hand on the whole of such a text.
type fitReceiver struct {
	record.Receiver
	secrets *redact.Redactor
}

// Receive implements record.Receiver.
func (f fitReceiver) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	outcomes := f.Receiver.Receive(ctx, batch)
	var said, fit string // all records of a batch often have one reason
	own := false
	for i := range outcomes {
		if outcomes[i].Err == nil {
			continue
		}
		if text := outcomes[i].Err.Error(); text != said {
			said, fit = text, f.secrets.Clip(text, maxReason)
		}
		if fit == said {
			continue
		}
		if !own {
			outcomes, own = slices.Clone(outcomes), true // others may return the same again
		}
		err := errors.New(fit) // one that wraps the other would keep all of it in memory
		if refusal, is := errors.AsType[*record.Refusal](outcomes[i].Err); is {
			err = &record.Refusal{Reason: refusal.Reason, Err: err}
		}
		outcomes[i].Err = err
	}
	return outcomes
}
