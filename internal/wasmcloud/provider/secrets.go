package provider

import (
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// ownSecrets are the provider's own: of its config and secrets, of its connection to the lattice, and of the environment's
// variables for collectors.
func ownSecrets(data *hostdata.Data, getenv func(string) string) []string {
	config := map[string]string{"lattice_rpc_url": data.LatticeURL}
	if getenv != nil {
		for _, signal := range []string{"", "_TRACES", "_METRICS", "_LOGS"} {
			for _, what := range []string{"_HEADERS", "_ENDPOINT"} {
				key := "OTEL_EXPORTER_OTLP" + signal + what
				config[key] = getenv(key)
			}
		}
	}
	values := append(settings.SecretValues(data.Config, data.Secrets), settings.SecretValues(config, nil)...)
	return append(values, data.LatticeUserJWT.Reveal(), data.LatticeUserSeed.Reveal(), data.ProviderXKeyPrivate.Reveal())
}

// fitSendError makes an error fit for a component.
func (p *Provider) fitSendError(err error) error {
	if e, ok := errors.AsType[*wit.SendError](err); ok {
		fit := *e
		fit.Text = p.secrets.Text(e.Text)
		return &fit
	}
	return p.secrets.Err(err)
}
