package provider

import (
	"context"
	"log/slog"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// exportTimeout bounds what the end of the provider waits for telemetry to get away: a collector that does not answer
// must hold up neither a host nor an operator.
const exportTimeout = time.Second

// startExport begins to send telemetry where the host, the provider's own config or the environment ask for it.
func startExport(data *hostdata.Data, getenv func(string) string, metrics *telemetry.Metrics, log *slog.Logger) *otlp.Export {
	return otlp.Start(otlp.Options{
		Sources: otlp.Sources{Secrets: data.Secrets, Config: data.Config, Host: data.OTel, Getenv: getenv},
		Identity: otlp.Identity{
			Version: version.Get().Version, InstanceID: data.InstanceID,
			Lattice: data.Lattice, ProviderKey: data.ProviderKey, HostID: data.HostID,
		},
		Metrics: metrics.Registry, Count: metrics.Exported, Log: log,
	})
}

func endExport(export *otlp.Export) {
	ctx, cancel := context.WithTimeout(context.Background(), exportTimeout)
	defer cancel()
	export.Shutdown(ctx)
}
