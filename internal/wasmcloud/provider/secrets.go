package provider

import (
	"errors"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/records"
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

// know has the secrets of what was put taken out of all texts. Those of the put before are kept as well: connections that
// still have them may be answered yet. It is called with mu held.
func (l *link) know(config map[string]string, secrets map[string]settings.Secret) {
	l.known = append(l.known, l.p.secrets.Add(settings.SecretValues(config, secrets)...))
	const kept = 2
	for ; len(l.known) > kept; l.known = l.known[1:] {
		l.known[0]()
	}
}

// forget is called when the link is gone and nobody speaks of it any more.
func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, remove := range l.known {
		remove()
	}
	l.known = nil
}

// fit makes problems fit to be told.
func (p *Provider) fit(problems status.Problems) status.Problems {
	for i := range problems {
		problems[i].Text = p.secrets.Text(problems[i].Text)
	}
	return problems
}

// fitEvents does so with what the log told.
func (p *Provider) fitEvents(events []status.Event) []status.Event {
	for i := range events {
		events[i].Text, events[i].Topic = p.secrets.Text(events[i].Text), p.secrets.Value(events[i].Topic)
	}
	return events
}

// fitSendError makes an error fit for a component.
func (p *Provider) fitSendError(err error) error {
	if e, ok := errors.AsType[*records.SendError](err); ok {
		fit := *e
		fit.Text = p.secrets.Text(e.Text)
		return &fit
	}
	return p.secrets.Err(err)
}
