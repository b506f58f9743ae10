package cli

import (
	"context"
	"io"
	"os"

	"messaging-kafka/internal/hostdata"
	"messaging-kafka/internal/provider"
	"messaging-kafka/internal/telemetry"
)

// runProvider runs the provider until it is shut down. Its log goes to errOut.
func runProvider(ctx context.Context, data *hostdata.Data, errOut io.Writer) error {
	return provider.Run(ctx, data, provider.Options{
		Logger: telemetry.NewLogger(errOut, data.LogLevel, data.StructuredLogging),
		Getenv: os.Getenv,
	})
}
