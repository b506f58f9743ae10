package produce

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Ping asks a broker for a sign of life. Its error says, in words for the operator, why there is none and which
// setting mends it.
func (p *Publisher) Ping(ctx context.Context) error {
	c := p.client()
	if err := c.client().Ping(ctx); err != nil {
		return errors.New(c.access.Explain(err).Text)
	}
	return nil
}

// Writable asks whether topics are there and may be written to. It returns, in words for the operator, what is wrong
// with those that are not; brokers before Kafka 2.3 do not tell rights. An error says that nobody could be asked.
func (p *Publisher) Writable(ctx context.Context, topics ...string) (map[string]error, error) {
	c := p.client()
	details, err := c.admin().Metadata(kadm.WithAuthorizedOps(ctx), topics...)
	if err != nil {
		return nil, errors.New(c.access.Explain(err).Text)
	}
	unwell := make(map[string]error)
	for _, topic := range topics {
		detail := details.Topics[topic]
		err := detail.Err
		if may := detail.AuthorizedOperations; err == nil && len(may) > 0 && !slices.Contains(may, kmsg.ACLOperationWrite) {
			err = kerr.TopicAuthorizationFailed
		}
		for _, partition := range detail.Partitions {
			if err == nil {
				err = partition.Err
			}
		}
		if err != nil {
			unwell[topic] = errors.New(c.access.Explain(err).Text)
		}
	}
	return unwell, nil
}
