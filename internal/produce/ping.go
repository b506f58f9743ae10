package produce

import (
	"context"
	"errors"
)

// Ping asks a broker for a sign of life. Its error says, in words for the operator, why there is none and which
// setting mends it.
func (h *Handle) Ping(ctx context.Context) error {
	if err := h.shared.kgo.Ping(ctx); err != nil {
		return errors.New(h.shared.access.Explain(err).Text)
	}
	return nil
}
