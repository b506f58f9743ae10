package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// serve is the life of a provider: from the host's data on standard input until the host, a signal or the host's death
// ends it.
func serve(ctx context.Context, in io.Reader, errOut io.Writer) int {
	data, err := hostdata.Read(ctx, in)
	if err == nil {
		err = runProvider(ctx, data, errOut)
	}
	if err == nil || endedBySignal(ctx, err) {
		return exitOK
	}
	reportEnd(errOut, data, err)
	return exitFailure
}

// reportEnd says why the provider ends, in the shape that the host asked for; data is nil where it asked for nothing.
func reportEnd(errOut io.Writer, data *hostdata.Data, err error) {
	if data != nil && data.StructuredLogging {
		slog.New(slog.NewJSONHandler(errOut, nil)).Error("the provider ends", "error", err.Error())
		return
	}
	fmt.Fprintf(errOut, "messaging-kafka: %v\n", err)
	if errors.Is(err, hostdata.ErrNothing) || errors.Is(err, hostdata.ErrSilence) {
		fmt.Fprintln(errOut, "a wasmCloud host starts this program; to see what else it does: messaging-kafka --help")
	}
}

// endedBySignal tells whether the error is no more than the end that was asked for.
func endedBySignal(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}
