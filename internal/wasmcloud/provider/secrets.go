package provider

import (
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// latticeSecrets are those of the connection to the lattice.
func latticeSecrets(data *hostdata.Data) []string {
	values := settings.SecretValues(map[string]string{"lattice_rpc_url": data.LatticeURL}, nil)
	return append(values, data.LatticeUserJWT.Reveal(), data.LatticeUserSeed.Reveal(), data.ProviderXKeyPrivate.Reveal())
}

// fitSendError makes an error fit for a component.
func (p *Provider) fitSendError(e *wit.SendError) error {
	fit := *e
	fit.Text = p.Secrets.Text(e.Text)
	return &fit
}
