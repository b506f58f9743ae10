package cli

import (
	"context"
	"io"
	"os"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

// runProvider runs the provider until it is shut down. Its log goes to errOut.
func runProvider(ctx context.Context, data *hostdata.Data, errOut io.Writer) error {
	return provider.Run(ctx, data, provider.Options{
		Logger: telemetry.NewLogger(errOut, data.LogLevel, data.StructuredLogging),
		Getenv: os.Getenv,
	})
}
