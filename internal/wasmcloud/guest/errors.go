package guest

import (
	"errors"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Failed says what the error of a call to a component, one of [wrpc.Client.Invoke]'s, means for the records that were
// handed over with it. The error of the outcome wraps err.
func Failed(err error) record.Outcome {
	switch {
	case errors.Is(err, wrpc.ErrNoResponders), errors.Is(err, wrpc.ErrNotAccepted), errors.Is(err, wrpc.ErrCut),
		errors.Is(err, wrpc.ErrRefused), errors.Is(err, wrpc.ErrDisconnected), errors.Is(err, wrpc.ErrClosed):
		// Nobody took the call, or the lattice broke in the middle of it.
		return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("no component took the call: %w", err)}
	case errors.Is(err, wrpc.ErrIncomplete):
		return record.Outcome{Kind: record.Unanswered,
			Err: fmt.Errorf("the component trapped or was ended by its host: %w", err)}
	default:
		return record.Outcome{Kind: record.Unanswered, Err: err}
	}
}
