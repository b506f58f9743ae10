package guest

import (
	"errors"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/wrpc"
)

// Unanswered says what the error of a call to a component, one of [wrpc.Client.Invoke]'s, means for the records that
// were handed over with it. The error that it returns wraps err, and [record.ErrUnavailable] where the call says
// nothing about the records.
func Unanswered(err error) error {
	switch {
	case errors.Is(err, wrpc.ErrNoResponders), errors.Is(err, wrpc.ErrNotAccepted), errors.Is(err, wrpc.ErrCut),
		errors.Is(err, wrpc.ErrRefused), errors.Is(err, wrpc.ErrDisconnected), errors.Is(err, wrpc.ErrClosed):
		// Nobody took the call, or the lattice broke in the middle of it.
		return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
	case errors.Is(err, wrpc.ErrIncomplete):
		return fmt.Errorf("the component trapped or was ended by its host: %w", err)
	default:
		return err
	}
}
