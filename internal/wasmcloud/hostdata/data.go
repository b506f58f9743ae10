package hostdata

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Data is what the host says, as far as the provider has a use for it. A key that the host left out is the zero value
// of its field. Data formats, logs and marshals as a summary without values.
type Data struct {
	// HostID is the host's public nkey (N…), by which a shutdown meant for another host's copy is told apart.
	HostID  string `json:"host_id"`
	Lattice string `json:"lattice_rpc_prefix"`
	// ProviderKey is the id under which the provider was started. It is any text, not an nkey.
	ProviderKey string `json:"provider_key"`
	// InstanceID is new with every start of the process.
	InstanceID string `json:"instance_id"`

	// LatticeURL is the NATS server of the lattice; "" leaves the choice to the provider.
	LatticeURL string `json:"lattice_rpc_url"`
	// LatticeUserJWT and LatticeUserSeed are the NATS user; both are empty where the lattice needs none. The JWT
	// is kept as a secret too, since a bearer JWT alone is enough to connect.
	LatticeUserJWT  settings.Secret `json:"lattice_rpc_user_jwt"`
	LatticeUserSeed settings.Secret `json:"lattice_rpc_user_seed"`

	// Config is the provider's own start configuration, all named configs merged, and Secrets its own start secrets.
	Config  map[string]string `json:"config"`
	Secrets Secrets           `json:"secrets"`
	// Links are the links that existed when the host took the snapshot.
	Links []Link `json:"link_definitions"`

	// HostXKeyPublic is the curve key (X…) by which secrets of links are sealed. It changes with every host start.
	HostXKeyPublic string `json:"host_xkey_public_key"`
	// ProviderXKeyPrivate is the seed (SX…) by which they are opened. Hosts before 1.1 send neither.
	ProviderXKeyPrivate settings.Secret `json:"provider_xkey_private_key"`

	// StructuredLogging asks for JSON logs on standard error.
	StructuredLogging bool `json:"structured_logging"`
	// LogLevel is error, warn, info, debug, trace, critical or "".
	LogLevel string          `json:"log_level"`
	OTel     otlp.HostConfig `json:"otel_config"`
}

// String says which provider the data is for and how much it holds.
func (d Data) String() string {
	return fmt.Sprintf("host data for provider %q in lattice %q on host %q (%d links, %d config keys, %d secrets)",
		d.ProviderKey, d.Lattice, d.HostID, len(d.Links), len(d.Config), len(d.Secrets))
}

// Format implements fmt.Formatter, so that no verb shows the fields.
func (d Data) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue implements slog.LogValuer.
func (d Data) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("provider", d.ProviderKey),
		slog.String("lattice", d.Lattice),
		slog.String("host", d.HostID),
		slog.String("instance", d.InstanceID),
		slog.Int("links", len(d.Links)),
		slog.Int("config_keys", len(d.Config)),
		slog.Int("secrets", len(d.Secrets)),
	)
}

// MarshalJSON implements json.Marshaler with the summary.
func (d Data) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }
