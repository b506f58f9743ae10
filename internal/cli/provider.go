package cli

import (
	"context"
	"errors"
	"io"

	"messaging-kafka/internal/hostdata"
)

// runProvider runs the provider until it is shut down. Its log goes to errOut.
func runProvider(_ context.Context, _ *hostdata.Data, _ io.Writer) error {
	return errors.New("this build has no provider in it yet")
}
