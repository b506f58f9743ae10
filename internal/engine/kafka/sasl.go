package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// liveMechanism authenticates with whatever an Access holds at that moment. A client takes its mechanisms once, at
// its start, but asks for the name at each handshake and for a session at each authentication; so this is how
// changed credentials, and a changed mechanism too, reach a running client.
type liveMechanism struct{ access *Access }

// Name implements [sasl.Mechanism].
func (m liveMechanism) Name() string { return string(m.access.state.Load().Mechanism) }

// Authenticate implements [sasl.Mechanism].
func (m liveMechanism) Authenticate(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	mechanism, err := m.access.state.Load().mechanism()
	if err != nil {
		return nil, nil, err
	}
	return mechanism.Authenticate(ctx, addr)
}

func (s *securityState) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case settings.Plain:
		return plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism(), nil
	case settings.ScramSHA256:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha256Mechanism(), nil
	case settings.ScramSHA512:
		return scram.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsSha512Mechanism(), nil
	case settings.OAuthBearer:
		return tokenMechanism{s.oauth}, nil
	case settings.AWSMSKIAM:
		return awsMechanism{s.aws}, nil
	default:
		return nil, fmt.Errorf("unknown sasl_mechanism %q", s.Mechanism)
	}
}
